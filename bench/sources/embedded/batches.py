"""Batches of the pre-training stream, encoded, with what is asked of an encoder at which token and layer.

Shapes: n rows, L layers, m rows or facts that something is asked about.
"""

from __future__ import annotations

from random import Random

import torch
from transformers import PreTrainedTokenizerFast

from bench.sources.embedded import pairs, stream
from bench.sources.embedded.nano import LAYERS
from bench.sources.embedded.puzzles import STATES

#: The layer after which the object of each fact stands for its subject.
SUBJECTS_AT = 1
#: The layers at which the first look-up is done, the second, and so on.
LOOKUPS_AT = (3, 5, 7, 10)
#: The layer from which on the answer is asked, by the steps of a row; never where nobody can know it.
ANSWER_AT = {0: LAYERS + 1, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 11}
#: How many look-ups are done after each layer.
DONE = [sum(layer >= at for at in LOOKUPS_AT) for layer in range(1, LAYERS + 1)]


class Batches:
    """Batches of the stream; no example of any task is among them."""

    def __init__(self, tokens: PreTrainedTokenizerFast, seed: int):
        self.tokens, self.rng = tokens, Random(f"stream {seed}")
        self.between = 3 if tokens.sep_token == "</s>" else 2  # special tokens before the second sentence

    def rows(self, count: int, most: int = stream.DEEPEST) -> list[stream.Row]:
        """Draw rows that need at most so many steps."""
        chosen = []
        while len(chosen) < count:
            row = stream.draw(self.rng, most)
            if not pairs.is_kept(row.told.text_a, row.told.text_b):
                chosen.append(row)
        return chosen

    def encode(self, rows: list[stream.Row]) -> dict[str, torch.Tensor]:
        """Return a padded batch of tensors."""
        texts = [(told.text_a, told.text_b) if told.text_b else told.text_a for told in (row.told for row in rows)]
        return dict(self.tokens(texts, padding=True, return_tensors="pt"))

    def answers(self, rows: list[stream.Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return [n] states as indices of `STATES`, and the [n] layers from which on they can be told."""
        states = [STATES.index(row.state) for row in rows]
        return torch.tensor(states), torch.tensor([ANSWER_AT[row.steps] for row in rows])

    def lookups(self, rows: list[stream.Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return [m] rows that ask about somebody, [m] the token that names them, [m, L] what is found by each layer.

        What is found stays until the next look-up is due; before the first it is the name itself.
        """
        asking = [(i, row.told) for i, row in enumerate(rows) if row.told.query]
        places = [self.place(told, *told.query) for _, told in asking]
        found = []
        for _, told in asking:
            part, word = told.query
            words = [(told.text_b if part else told.text_a).split()[word], *told.path]
            found.append(self.tokens.convert_tokens_to_ids([words[min(done, len(told.path))] for done in DONE]))
        return torch.tensor([i for i, _ in asking]), torch.tensor(places), torch.tensor(found)

    def subjects(self, rows: list[stream.Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return [m] rows, once for each fact, [m] the token of its object, [m] its subject."""
        facts = [(i, row.told, fact) for i, row in enumerate(rows) for fact in row.told.facts]
        places = [self.place(told, part, word) for _, told, (part, word, _) in facts]
        found = self.tokens.convert_tokens_to_ids([subject for *_, (_, _, subject) in facts])
        return torch.tensor([i for i, *_ in facts]), torch.tensor(places), torch.tensor(found)

    def place(self, told: pairs.Told, part: int, word: int) -> int:
        """Return which token a word of the first (0) or second (1) sentence is."""
        return 1 + word + (len(told.text_a.split()) + self.between - 1 if part else 0)
