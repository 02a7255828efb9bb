"""Runs all cells of the notebooks of this folder. Stops at the first that fails."""

import pathlib
import sys

import nbformat
from nbclient import NotebookClient

for path in sorted(pathlib.Path(__file__).parent.glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(path.parent))
    outputs = sum(len(cell.get("outputs", [])) for cell in notebook.cells)
    iframes = sum("<iframe srcdoc=" in str(cell.get("outputs", "")) for cell in notebook.cells)
    print(f"{path.name}: {len(notebook.cells)} cells, {outputs} outputs, {iframes} reports")
sys.exit(0)
