"""Greatest difference of our scores from those of scanpy: python compare_scores.py SCANPY.npz OURS.json"""

import json
import sys

import numpy as np

scanpy_scores = np.load(sys.argv[1])
ours = json.load(open(sys.argv[2]))
shape = (len(ours["groups"]), len(ours["genes"]))
scores, adjusted = (np.array(ours[kind]).reshape(shape) for kind in ("scores", "adjusted"))
place = {gene: g for g, gene in enumerate(ours["genes"])}
score_difference = p_difference = 0.0
for k, group in enumerate(ours["groups"]):
    order = [place[name] for name in scanpy_scores[f"names/{group}"]]
    expected = scanpy_scores[f"scores/{group}"].astype(float)
    # scanpy keeps scores as float32
    difference = np.abs(scores[k, order].astype(np.float32) - expected) / np.maximum(np.abs(expected), 1e-6)
    score_difference = max(score_difference, float(difference.max()))
    expected = scanpy_scores[f"adjusted/{group}"]
    difference = np.abs(adjusted[k, order] - expected) / np.maximum(expected, 1e-300)
    p_difference = max(p_difference, float(difference.max()))
print(json.dumps({"score": score_difference, "p": p_difference}))
