"""Draw a figure of your own from a run folder: accuracy of every exit beside the curve of early exit.

python docs/examples/own_figure.py results/embedded bert sst2 deebert own.png
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

from bench import load_results

folder, backbone, task, method, image = sys.argv[1:]
results = load_results(folder)

points = results.tables["points"].query("backbone == @backbone and task == @task and method == @method")
plt.plot(points["layer_fraction"], points["value"], "o", label=f"{method}, one point a threshold and seed")

for number, cell in enumerate(points["cell"].unique()):
    trace = results.traces(cell)["validation"]
    right = trace.logits.argmax(axis=-1) == trace.labels[:, None]  # [n, L]
    depth = np.arange(1, right.shape[1] + 1) / right.shape[1]
    plt.plot(depth, right.mean(axis=0), color="grey", label="everybody leaves at one layer" if number == 0 else None)

plt.xlabel("layers used (fraction)")
plt.ylabel("accuracy")
plt.legend()
plt.savefig(image)
print(f"{len(points)} points of {points['seed'].nunique()} seeds: {image}")
