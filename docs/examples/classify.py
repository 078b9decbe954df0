"""Classify texts with a saved early-exit model within a budget of layers.

    python docs/examples/classify.py MODEL_FOLDER BUDGET "a text" ..

For tasks on pairs, the two texts of an argument are separated by ||. MODEL_FOLDER is written by `--save-models`.
"""

import sys

from bench import EarlyExitClassifier

folder, budget, *arguments = sys.argv[1:]
texts = [tuple(text.split("||")) if "||" in text else text for text in arguments]

model = EarlyExitClassifier.from_pretrained(folder)
setting = model.knob_for(budget=float(budget))
print(f"{model.method.name}, {model.knob.name} = {setting:g}")

for text, found in zip(arguments, model.predict(texts, setting), strict=True):
    print(f"{found.label}, layer {found.layer} of {model.model.num_layers}: {text}")
