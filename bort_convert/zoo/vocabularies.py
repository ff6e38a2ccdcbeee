"""Vocabularies of GluonNLP's published models, with the casing of the text that they are for.

Source: gluonnlp 0.10.0, data/utils.py (_vocab_sha1), and tests/unittest/test_models.py and test_datasets.py of the same
release for the numbers of tokens; of XLNet, scripts/language_model/transformer/model.py; dmlc/gluon-nlp master at
14553a0c, models/model_zoo_checksums, and PRETRAINED_URL in models/*.py for the casing.
"""

from __future__ import annotations

from bort_convert.zoo.entry import Vocabulary

WORDPIECE, SENTENCEPIECE, BYTE_LEVEL, WORDS = "WordPiece", "SentencePiece", "byte-level BPE", "words"


def _of_0_x(
    name: str, sha1: str, size: int, tokenizer: str = WORDPIECE, *, lower_case: bool = False, suffix: str = ".vocab"
) -> Vocabulary:
    return Vocabulary(f"{name}-{sha1[:8]}{suffix}", sha1, size, tokenizer, lower_case)


_BERT_CASED = "a4ff6fe1f85ba95f3010742b9abc3a818976bb2c"
_BERT_UNCASED = "80ef760a6bdafec68c99b691c94ebbb918c90d02"

OF_0_X = {
    name: _of_0_x(name, sha1, size, lower_case=name.endswith("_uncased"))
    for name, sha1, size in (
        ("book_corpus_wiki_en_cased", "2d62af22535ed51f35cc8e2abb607723c89c2636", 28996),
        ("book_corpus_wiki_en_uncased", "a66073971aa0b1a262453fe51342e57166a8abcf", 30522),
        ("openwebtext_book_corpus_wiki_en_uncased", "a66073971aa0b1a262453fe51342e57166a8abcf", 30522),
        ("distilbert_book_corpus_wiki_en_uncased", _BERT_UNCASED, 30522),
        ("wiki_multilingual_cased", "0247cb442074237c38c62021f36b7a4dbd2e55f7", 119547),
        ("wiki_multilingual_uncased", "2b2514cc539047b9179e9d98a4e68c36db05c97a", 105879),
        ("wiki_cn_cased", "ddebd8f3867bca5a61023f73326fb125cf12b4f5", 21128),
        ("scibert_scivocab_uncased", "2d2566bfc416790ab2646ab0ada36ba628628d60", 31090),
        ("scibert_scivocab_cased", "2c714475b521ab8542cb65e46259f6bfeed8041b", 31116),
        ("scibert_basevocab_uncased", _BERT_UNCASED, 30522),
        ("scibert_basevocab_cased", _BERT_CASED, 28996),
        ("biobert_v1.0_pmc_cased", _BERT_CASED, 28996),
        ("biobert_v1.0_pubmed_cased", _BERT_CASED, 28996),
        ("biobert_v1.0_pubmed_pmc_cased", _BERT_CASED, 28996),
        ("biobert_v1.1_pubmed_cased", _BERT_CASED, 28996),
        ("clinicalbert_uncased", _BERT_UNCASED, 30522),
        ("baidu_ernie_uncased", "223553643220255e2a0d4c60e946f4ad7c719080", 17964),
    )
} | {
    "kobert_news_wiki_ko_cased": _of_0_x(
        "kobert_news_wiki_ko_cased", "f86b1a8355819ba5ab55e7ea4a4ec30fdb5b084f", 8002, SENTENCEPIECE, suffix=".spiece"
    ),
    "openwebtext_ccnews_stories_books_cased": _of_0_x(
        "openwebtext_ccnews_stories_books_cased", "2b804f8f90f9f93c07994b703ce508725061cf43", 50265, BYTE_LEVEL
    ),
    "openai_webtext": _of_0_x("openai_webtext", "f917dc7887ce996068b0a248c8d89a7ec27b95a1", 50257, BYTE_LEVEL),
    "126gb": _of_0_x("xlnet_126gb", "871f0b3c13b92fc5aea8fba054a214c420e302fd", 32000, SENTENCEPIECE, suffix=".spiece"),
}
"""Vocabularies of 0.x by the names of their datasets; several may be of the same bytes.

Casing is that of the text that a model was trained on, as its name says. GluonNLP's own `get_tokenizer` has the two
multilingual models exchanged: it lower-cases for the cased one.
"""
WIKITEXT_2 = _of_0_x("wikitext-2", "be36dc5238c2e7d69720881647ab72eb506d0131", 33278, WORDS)
GBW = _of_0_x("gbw", "ebb1a287ca14d8fa6f167c3a779e5e7ed63ac69f", 793471, WORDS)
WMT2014 = _of_0_x("WMT2014_src", "230ebb817b1d86950d71e2e765f192a4e4f34415", 36794, WORDS)

BERT_CASED = Vocabulary("vocab-c1defaaa.json", "c1defaaa483849fee9780586b66070d275ce8892", 28996, WORDPIECE)
BERT_UNCASED = Vocabulary(
    "vocab-e6d2b21d.json", "e6d2b21d910ccb356aa18f27a1c7d70660edc058", 30522, WORDPIECE, lower_case=True
)
BERT_CHINESE = Vocabulary("vocab-711c13e4.json", "711c13e452ec0c6775155dd32be53caf800ecf6c", 21128, WORDPIECE)
BERT_MULTILINGUAL = Vocabulary("vocab-016e1169.json", "016e11698c9f198c728b4c2200f099d6be24289c", 119547, WORDPIECE)
ALBERT = Vocabulary(
    "spm-65999e5d.model", "65999e5d811d9dc77a93bd712c8cb28e3addd852", 30000, SENTENCEPIECE, lower_case=True
)
ROBERTA = Vocabulary("gpt2-f1335494.vocab", "f1335494f47917829e3b1d08e579ff2c3fe4fd60", 50265, BYTE_LEVEL)
BART_BASE = Vocabulary("gpt2-f4dedacb.vocab", "f4dedacb076b1df441c9c7398ed9acd3c19865f3", 51201, BYTE_LEVEL)
GPT2 = Vocabulary("gpt2-9dc62091.vocab", "9dc620913410d5ec1a988abf852891e1c9f0f649", 50257, BYTE_LEVEL)
XLM_R = Vocabulary("sentencepiece-18e17bae.model", "18e17bae37be115135d4cf4ad9dfcc4f3b12cb80", 250002, SENTENCEPIECE)
T5 = Vocabulary("t5-5f05e7c5.vocab", "5f05e7c57adf916bdba74912b0b37dea5c585988", 32128, SENTENCEPIECE)
MT5 = Vocabulary("mt5-2730df74.vocab", "2730df74056f29388cc4c8c912af6e97ac54bab2", 250112, SENTENCEPIECE)
OF_1_0 = (BERT_CASED, BERT_UNCASED, BERT_CHINESE, BERT_MULTILINGUAL, ALBERT, ROBERTA, BART_BASE, GPT2, XLM_R, T5, MT5)
"""Vocabularies of 1.0."""
