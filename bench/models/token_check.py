"""Whether a tokenizer gives what a checkpoint was trained on: mended where that is certain, else refused in one line.

A wrong input trains without a word and only costs some points, so nothing a tokenizer says of itself is believed: one
word, one pair and one capitalised word are tokenised, which costs milliseconds. The names of the checks are those of
docs/checks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tokenizers import Tokenizer, processors
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from bench.errors import UserError, cut, one_line

#: Written before a word, or a piece of one, in vocabularies: WordPiece, byte-level BPE, SentencePiece.
MARKS = ("##", "Ġ", "▁")
#: Accents, another script and a contraction beside the words: what normalisers change.
SAMPLE = "café Ünlü 中文 don't 2024"
#: Families whose own format has segment 0 for both texts, whatever room their embeddings have.
ONE_SEGMENT = ("roberta", "camembert")
SEGMENTS = "token_type_ids"


@dataclass(frozen=True)
class Given:
    """What a tokenizer makes of a text or a pair.

    Attributes:
        ids: of all tokens.
        special: of each token, whether it is not of a text.
        segments: of each token; empty where the tokenizer gives none.
    """

    ids: list[int]
    special: list[bool]
    segments: list[int]

    @property
    def texts(self) -> int:
        """How many texts there are, which are told apart by what stands between them."""
        return sum(not special for special, _ in groupby(self.special))


def given(tokenizer: PreTrainedTokenizerBase, *texts: str, **options: object) -> Given:
    """What the tokenizer that is checked makes of a text or a pair."""
    tokens = tokenizer(*texts, return_special_tokens_mask=True, **options)
    special = [bool(flag) for flag in tokens["special_tokens_mask"]]
    return Given(tokens["input_ids"], special, tokens.get(SEGMENTS, []))


def check_tokens(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, folder: Path, pooling: str = "first"
) -> None:
    """Refuse a tokenizer whose tokens are not those that a checkpoint expects; mend one that leaves segments out.

    Args:
        tokenizer: as the library loads it; it is told to give segments where it does not.
        config: of the checkpoint.
        folder: the files of the checkpoint.
        pooling: which states the exits read: "first" is the first token's.

    Raises:
        UserError: what is wrong, in one line without the checkpoint's name.
    """
    check_ids(tokenizer, config.vocab_size)
    word = known_word(tokenizer)
    single, pair = given(tokenizer, word), given(tokenizer, word, word)
    check_own_file(tokenizer, folder, word)
    if pooling == "first":
        check_first(tokenizer, [single, pair, given(tokenizer, "")])
    if pooling == "last":
        mend_pairs(tokenizer)
        pair = given(tokenizer, word, word)
    check_separators(tokenizer, single, pair, pooling)
    check_padding(tokenizer, config)
    if getattr(config, "type_vocab_size", 0) > 1:
        check_segments(tokenizer, config, word)


def check_ids(tokenizer: PreTrainedTokenizerBase, size: int) -> None:
    """Every id must have an embedding; ids may have gaps, so that the number of entries does not say it."""
    if len(tokenizer) > size:
        raise UserError(f"the tokenizer does not fit, it has {len(tokenizer)} entries and the model {size}")
    if tokenizer.pad_token_id is None:
        raise UserError("the tokenizer has neither a padding token nor an end-of-text token")
    token, highest = max(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    if highest >= size:
        raise UserError(f"the tokenizer does not fit: '{cut(token, 40)}' has id {highest}, the model embeds {size}")


def mend_padding(tokenizer: PreTrainedTokenizerBase) -> None:
    """Pad with the end-of-text token where there is no padding token, as the library's own examples do for decoders.

    Nothing reads what stands there: padding is known by the attention mask.
    """
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def mend_pairs(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let an end-of-text token stand between the texts of a pair, where a decoder's tokenizer puts nothing there."""
    end = tokenizer.eos_token
    if end is None or not tokenizer.is_fast or given(tokenizer, "a", "a").texts == 2:
        return
    backend, known = tokenizer.backend_tokenizer, [(end, tokenizer.eos_token_id)]
    between = processors.TemplateProcessing(single="$A", pair=f"$A {end} $B:1", special_tokens=known)
    before = backend.post_processor
    backend.post_processor = between if before is None else processors.Sequence([before, between])


def known_word(tokenizer: PreTrainedTokenizerBase) -> str:
    """To check a tokenizer with: a word in small letters that it has, the first by id that a text would hold."""
    special = set(tokenizer.all_special_ids)
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        word = token.removeprefix("Ġ").removeprefix("▁")
        if number not in special and len(word) > 1 and word.isalnum() and word.islower() and word.isascii():
            return word
    return "a"


def check_first(tokenizer: PreTrainedTokenizerBase, found: Sequence[Given]) -> None:
    """The first token must be the classification token, whose state the exits read."""
    expected = {tokenizer.cls_token_id, tokenizer.bos_token_id} - {None}
    for tokens in found:
        if not tokens.ids or not tokens.special[0] or (expected and tokens.ids[0] not in expected):
            name = tokenizer.cls_token or tokenizer.bos_token or "none is declared"
            got = f"'{cut(tokenizer.convert_ids_to_tokens(tokens.ids[0]), 40)}'" if tokens.ids else "nothing"
            raise UserError(
                f"inputs do not begin with the classification token ({name}) but with {got}: the tokenizer lacks its "
                "post-processor"
            )


def check_separators(tokenizer: PreTrainedTokenizerBase, single: Given, pair: Given, pooling: str) -> None:
    """A text must have tokens, and a separator must stand between two and, for encoders, behind each."""
    if single.texts != 1 or pair.texts != 2:
        what = "a word has no token of its own" if single.texts < 1 else "nothing separates the two texts of a pair"
        raise UserError(f"{what}: the tokenizer lacks its post-processor")
    ends = {tokenizer.sep_token_id, tokenizer.eos_token_id} - {None}
    if pooling == "last" and ends:
        ends |= {tokenizer.bos_token_id}  # Llama's stands before either text
    second = next(i for i in range(1, len(pair.ids)) if pair.special[i] and not pair.special[i - 1])
    marks = {"between the texts": pair.ids[second]}
    if pooling == "first":
        marks |= {"at the end of a pair": pair.ids[-1], "at the end of a text": single.ids[-1]}
    for where, number in marks.items():
        if ends and number not in ends:
            got = tokenizer.convert_ids_to_tokens(number)
            name = tokenizer.sep_token or tokenizer.eos_token
            raise UserError(f"{where} stands '{cut(got, 40)}': expected the separator {name}")


def check_padding(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Positions of RoBERTa's kind are counted over what is not the model's padding, so both must mean the same."""
    if is_kind(config, ONE_SEGMENT) and tokenizer.pad_token_id != config.pad_token_id:
        line = f"the tokenizer pads with id {tokenizer.pad_token_id}, the model counts positions over {{}}"
        raise UserError(line.format(f"ids other than {config.pad_token_id}"))


def check_own_file(tokenizer: PreTrainedTokenizerBase, folder: Path, word: str) -> None:
    """The ids must be those of the checkpoint's own tokenizer.json; without one, a cased vocabulary keeps its case."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return check_case(tokenizer)
    try:
        own = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain exceptions
        raise UserError(f"tokenizer.json cannot be read: {one_line(error)}") from error
    own.no_truncation()
    own.no_padding()
    for texts in ((word,), (word, word), (word.capitalize(),), (f"{word.upper()} {SAMPLE}", word)):
        expected, got = own.encode(*texts).ids, given(tokenizer, *texts).ids
        if got != expected:
            differs = [i for i, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]]
            at = differs[0] if differs else min(len(got), len(expected))
            tokens = (own.id_to_token(ids[at]) if at < len(ids) else "nothing" for ids in (got, expected))
            names = [f"'{cut(token, 40)}'" for token in tokens]
            raise UserError(
                f"the library's tokens are not those of tokenizer.json: token {at + 1} of '{' / '.join(texts)}' is "
                f"{names[0]}, not {names[1]}; tokenizer_config.json (tokenizer_class, do_lower_case) does not fit it"
            )
    return None


def check_case(tokenizer: PreTrainedTokenizerBase) -> None:
    """A vocabulary with capitals must not lose them."""
    vocabulary = tokenizer.get_vocab()
    for word in vocabulary:
        if len(word) > 2 and word.isascii() and word.isalpha() and word.istitle() and word.lower() in vocabulary:
            if vocabulary[word] not in given(tokenizer, word).ids:
                raise UserError(f"the tokenizer reads '{word}' in small letters, though its vocabulary is cased")
            return


def check_segments(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, word: str) -> None:
    """Segments must be 0 for the first text and 1 for the second, and given: the library leaves them out for some."""
    pair = given(tokenizer, word, word, return_token_type_ids=True)
    second = [not special for special in pair.special].index(True)
    while not pair.special[second]:
        second += 1
    first_text, second_text = pair.segments[:second], pair.segments[second + 1 :]
    if set(first_text) == {0} and set(second_text) == {1}:
        if SEGMENTS not in tokenizer.model_input_names:
            tokenizer.model_input_names = [*tokenizer.model_input_names, SEGMENTS]
        return
    if is_kind(config, ONE_SEGMENT) and not any(pair.segments):
        return
    got = " ".join(map(str, pair.segments))
    raise UserError(f"a pair gets segments {got}: expected 0 for the first text and 1 for the second")


def is_kind(config: PreTrainedConfig, kinds: Sequence[str]) -> bool:
    """Whether the model whose tokenizer is checked is of a family, or of one that is named after it."""
    return any(kind in config.model_type for kind in kinds)


def separators(tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens of a pair belong to neither text."""
    return sum(given(tokenizer, "a", "a").special)
