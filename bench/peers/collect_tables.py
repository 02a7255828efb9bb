"""Makes a result .h5ad from the tables of peer.R. usage: python collect_tables.py FOLDER TABLES OUT.h5ad"""
import os
import sys

import pandas as pd
import peer

folder, tables, out = sys.argv[1:4]
reference, query = peer.read(folder)
labels = pd.read_csv(f"{tables}/labels.csv", dtype=str, keep_default_na=False)
positions = {}
if os.path.exists(f"{tables}/positions.csv"):
    components = pd.read_csv(f"{tables}/positions.csv", index_col=0).values
    positions = {"X_components": (components[: reference.n_obs], components[reference.n_obs :])}
peer.write(out, reference, query, {column: labels[column].values for column in labels}, positions)
