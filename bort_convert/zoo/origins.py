"""What is known of the published models beside their files: papers, languages, texts, licences, names on the Hub.

A licence stands here only where a source states one for the weights.

Source: dmlc/gluon-nlp v0.10.0, scripts/bert/index.rst and scripts/language_model/index.rst, and the docstrings of
models/*.py at master; the README of google-research/bert, facebookresearch/fairseq and SKTBrain/KoBERT; the Hub's pages
of SciBERT, ALBERT, ELECTRA, MobileBERT and mT5
"""

from __future__ import annotations

from dataclasses import replace

from bort_convert.zoo.entry import Origin

DEVLIN = "Devlin et al. (2018), arXiv:1810.04805"
BELTAGY = "Beltagy et al. (2019), arXiv:1903.10676"
LEE = "Lee et al. (2019), arXiv:1901.08746"
LIU = "Liu et al. (2019), arXiv:1907.11692"
RADFORD = "Radford et al. (2019), Language Models are Unsupervised Multitask Learners"
CLARK = "Clark et al. (2020), ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators"
LEWIS = "Lewis et al. (2019), arXiv:1910.13461"
CONNEAU = "Conneau et al. (2019), arXiv:1911.02116"
RAFFEL = "Raffel et al. (2020), Journal of Machine Learning Research 21(140)"
XUE = "Xue et al. (2020), arXiv:2010.11934"
YANG = "Yang et al. (2019), arXiv:1906.08237"
BOOKS, WIKIPEDIA, MANY = ("bookcorpus", "wikipedia"), ("wikipedia",), ("multilingual",)
OPEN_BOOKS = ("openwebtext", "cc_news", "stories", "bookcorpus")
APACHE, MIT = "apache-2.0", "mit"
GOOGLE, ALLEN, FAIRSEQ, SKT = (
    "google-research/bert",
    "allenai/scibert_scivocab_uncased on the Hub",
    "facebookresearch/fairseq",
    "SKTBrain/KoBERT",
)

BASE_CASED = Origin(DEVLIN, ("en",), BOOKS, APACHE, GOOGLE, "google-bert/bert-base-cased")
BASE_UNCASED = Origin(DEVLIN, ("en",), BOOKS, APACHE, GOOGLE, "google-bert/bert-base-uncased")
LARGE_CASED = Origin(DEVLIN, ("en",), BOOKS, APACHE, GOOGLE, "google-bert/bert-large-cased")
LARGE_UNCASED = Origin(DEVLIN, ("en",), BOOKS, APACHE, GOOGLE, "google-bert/bert-large-uncased")
MANY_CASED = Origin(DEVLIN, MANY, WIKIPEDIA, APACHE, GOOGLE, "google-bert/bert-base-multilingual-cased")
MANY_UNCASED = Origin(DEVLIN, MANY, WIKIPEDIA, APACHE, GOOGLE, "google-bert/bert-base-multilingual-uncased")
CHINESE = Origin(DEVLIN, ("zh",), WIKIPEDIA, APACHE, GOOGLE, "google-bert/bert-base-chinese")
GLUON_BERT = Origin(DEVLIN, ("en",), ("openwebtext", *BOOKS))
SCI_CASED = Origin(BELTAGY, ("en",), (), APACHE, ALLEN, "allenai/scibert_scivocab_cased")
SCI_UNCASED = Origin(BELTAGY, ("en",), (), APACHE, ALLEN, "allenai/scibert_scivocab_uncased")
SCI_BASE = Origin(BELTAGY, ("en",), (), APACHE, ALLEN)
BIO_PMC = Origin(LEE, ("en",), ("pmc",))
BIO_PUBMED = Origin(LEE, ("en",), ("pubmed",))
BIO_BOTH = Origin(LEE, ("en",), ("pubmed", "pmc"))
BIO_1_1 = Origin(LEE, ("en",), ("pubmed",), base_model="dmis-lab/biobert-v1.1")
CLINICAL = Origin("Huang et al. (2019), arXiv:1904.05342")
DISTIL = Origin("Sanh et al. (2019), arXiv:1910.01108", ("en",), BOOKS, base_model="distilbert/distilbert-base-uncased")
ERNIE = Origin("Sun et al. (2019), arXiv:1904.09223", ("zh",))
ROBERTA_BASE = Origin(LIU, ("en",), OPEN_BOOKS, MIT, FAIRSEQ, "FacebookAI/roberta-base")
ROBERTA_LARGE = Origin(LIU, ("en",), OPEN_BOOKS, MIT, FAIRSEQ, "FacebookAI/roberta-large")
GPT2 = Origin(RADFORD, ("en",), ("webtext",), base_model="openai-community/gpt2")
GPT2_MEDIUM = Origin(RADFORD, ("en",), ("webtext",), base_model="openai-community/gpt2-medium")
XLNET_BASE = Origin(YANG, base_model="xlnet/xlnet-base-cased")
XLNET_LARGE = Origin(YANG, base_model="xlnet/xlnet-large-cased")
PETERS = Origin("Peters et al. (2018), arXiv:1802.05365")
MERITY = Origin("Merity et al. (2017), arXiv:1708.02182", ("en",), ("wikitext",))
NO_PAPER = Origin("", ("en",), ("wikitext",))
JOZEFOWICZ = Origin("Jozefowicz et al. (2016), arXiv:1602.02410", ("en",), ("lm1b",))
VASWANI = Origin("Vaswani et al. (2017), arXiv:1706.03762", ("en", "de"), ("wmt14",))
KOREAN = Origin("github.com/SKTBrain/KoBERT", ("ko",), WIKIPEDIA, APACHE, SKT)


def _on_the_hub(paper: str, base_model: str, *datasets: str, languages: tuple[str, ...] = ("en",)) -> Origin:
    """A model whose licence its page on the Hub states."""
    return Origin(paper, languages, datasets, APACHE, f"{base_model} on the Hub", base_model)


ALBERT = {
    f"google_albert_{size}_v2": _on_the_hub("Lan et al. (2020), arXiv:1909.11942", f"albert/albert-{size}-v2", *BOOKS)
    for size in ("base", "large", "xlarge", "xxlarge")
}
ELECTRA = {
    f"google_electra_{size}": _on_the_hub(CLARK, f"google/electra-{size}-discriminator")
    for size in ("small", "base", "large")
}
GLUON_ELECTRA = Origin(CLARK, ("en",), ("openwebtext",))
MOBILEBERT = _on_the_hub("Sun et al. (2020), arXiv:2004.02984", "google/mobilebert-uncased")
MT5 = {
    f"google_mt5_{size}": _on_the_hub(XUE, f"google/mt5-{size}", "mc4", languages=MANY)
    for size in ("small", "base", "large", "xl", "xxl")
}
T5 = {
    f"google_t5_{size}": Origin(RAFFEL, ("en",), ("c4",), base_model=f"google-t5/t5-{size.lower()}")
    for size in ("small", "base", "large", "3B", "11B")
}
GPT2_1 = {
    f"gpt2_{size}": Origin(RADFORD, ("en",), ("webtext",), base_model=f"openai-community/{name}")
    for size, name in (("124M", "gpt2"), ("355M", "gpt2-medium"), ("774M", "gpt2-large"), ("1558M", "gpt2-xl"))
}
XLM_R = {
    f"fairseq_xlmr_{size}": Origin(CONNEAU, MANY, ("cc100",), MIT, FAIRSEQ, f"FacebookAI/xlm-roberta-{size}")
    for size in ("base", "large")
}
BART = {
    f"fairseq_bart_{size}": Origin(LEWIS, ("en",), (), MIT, FAIRSEQ, f"facebook/bart-{size}")
    for size in ("base", "large")
}
WHOLE_CASED = replace(LARGE_CASED, base_model="google-bert/bert-large-cased-whole-word-masking")
WHOLE_UNCASED = replace(LARGE_UNCASED, base_model="google-bert/bert-large-uncased-whole-word-masking")
GLUON_BERT_1 = Origin(DEVLIN)
