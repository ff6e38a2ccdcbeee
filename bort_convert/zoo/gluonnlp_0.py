"""The published files of GluonNLP 0.x, with their SHA-1.

GluonNLP states no sizes: those here follow from our tables and the list format, and a test computes each. Which heads a
file has is known from GluonNLP's tests, which load it with all of them or allow some to be missing, and from the
scripts that made it. GPT-2 and XLNet are of GluonNLP's scripts, the others of its package. No family of ours has ELMo,
LSTMs and the translation model.

Source: gluonnlp 0.8.3 and 0.10.0, model/bert.py, elmo.py, language_model.py and transformer.py (_model_sha1);
dmlc/gluon-nlp v0.10.0, tests/unittest/test_models.py, scripts/conversion_tools, scripts/text_generation/model/gpt.py,
scripts/language_model/transformer/model.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bort_convert.zoo import origins as of
from bort_convert.zoo.entry import ZooEntry
from bort_convert.zoo.vocabularies import GBW, OF_0_X, WIKITEXT_2, WMT2014

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLER, NEXT_SENTENCE, MASKED_LM = "pooler", "next-sentence head", "masked-language-model head"
LANGUAGE_MODEL: Final = "language-model head"
ALL: Final = (POOLER, NEXT_SENTENCE, MASKED_LM)
FILES = {
    # published size -> dataset, SHA-1, bytes, what is known of the model, optional parts
    "bert_12_768_12": (
        ("book_corpus_wiki_en_cased", "5656dac6965b5054147b0375337d5a6a7a2ff832", 524_826_043, of.BASE_CASED, ALL),
        ("book_corpus_wiki_en_uncased", "75cc780f085e8007b3bf6769c6348bb1ff9a3074", 534_207_891, of.BASE_UNCASED, ALL),
        (
            "openwebtext_book_corpus_wiki_en_uncased",
            "a56e24015a777329c795eed4ed21c698af03c9ff",
            534_207_891,
            of.GLUON_BERT,
            ALL,
        ),
        ("wiki_multilingual_cased", "b0f57a207f85a7d361bb79de80756a8c9a4276f7", 1_081_533_591, of.MANY_CASED, ALL),
        ("wiki_multilingual_uncased", "237f39851b24f0b56d70aa20efd50095e3926e26", 997_502_727, of.MANY_UNCASED, ALL),
        ("wiki_cn_cased", "885ebb9adc249a170c5576e90e88cfd1bbd98da6", 476_453_579, of.CHINESE, ALL),
        ("scibert_scivocab_cased", "adf9c81e72ac286a37b9002da8df9e50a753d98b", 537_859_803, of.SCI_CASED, ALL),
        ("scibert_scivocab_uncased", "6c82d963fc8fa79c35dd6cb3e1725d1e5b6aa7d7", 537_699_955, of.SCI_UNCASED, ALL),
        ("scibert_basevocab_cased", "8e86e5de55d6dae99123312cd8cdd8183a75e057", 524_826_043, of.SCI_BASE, ALL),
        ("scibert_basevocab_uncased", "75acea8e8386890120533d6c0032b0b3fcb2d536", 534_207_891, of.SCI_BASE, ALL),
        ("biobert_v1.0_pmc_cased", "a07780385add682f609772e81ec64aca77c9fb05", 433_259_218, of.BIO_PMC, (POOLER,)),
        (
            "biobert_v1.0_pubmed_cased",
            "280ad1cc487db90489f86189e045e915b35e7489",
            433_259_218,
            of.BIO_PUBMED,
            (POOLER,),
        ),
        (
            "biobert_v1.0_pubmed_pmc_cased",
            "8a8c75441f028a6b928b11466f3d30f4360dfff5",
            433_259_218,
            of.BIO_BOTH,
            (POOLER,),
        ),
        ("biobert_v1.1_pubmed_cased", "55f15c5d23829f6ee87622b68711b15fef50e55b", 433_259_218, of.BIO_1_1, (POOLER,)),
        (
            "clinicalbert_uncased",
            "60281c98ba3572dfdaac75131fa96e2136d70d5c",
            437_953_362,
            of.CLINICAL,
            (POOLER, NEXT_SENTENCE),
        ),
        ("kobert_news_wiki_ko_cased", "ccf0593e03b91b73be90c191d885446df935eb64", 395_754_931, of.KOREAN, ALL),
    ),
    "bert_24_1024_16": (
        ("book_corpus_wiki_en_cased", "4e685a966f8bf07d533bd6b0e06c04136f23f620", 1_457_451_851, of.LARGE_CASED, ALL),
        (
            "book_corpus_wiki_en_uncased",
            "24551e1446180e045019a87fc4ffbf714d99c0b5",
            1_469_958_947,
            of.LARGE_UNCASED,
            ALL,
        ),
    ),
    "distilbert_6_768_12": (
        (
            "distilbert_book_corpus_wiki_en_uncased",
            "e0864cc40b3d00fcfb1a878a728650d9148c9a1d",
            265_460_625,
            of.DISTIL,
            (),
        ),
    ),
    "ernie_12_768_12": (
        ("baidu_ernie_uncased", "f869f3f89e4237a769f1b7edcbdfe8298b480052", 399_371_986, of.ERNIE, (POOLER,)),
    ),
    "roberta_12_768_12": (
        (
            "openwebtext_ccnews_stories_books_cased",
            "5cf21fcddb5ae1a4c21c61201643460c9d65d3b0",
            653_212_886,
            of.ROBERTA_BASE,
            (MASKED_LM,),
        ),
    ),
    "roberta_24_1024_16": (
        (
            "openwebtext_ccnews_stories_books_cased",
            "d1b7163e9628e2fd51c9a9f3a0dc519d4fc24add",
            1_627_557_478,
            of.ROBERTA_LARGE,
            (MASKED_LM,),
        ),
    ),
    "gpt2_117m": (("openai_webtext", "26416f2ec2ab0c5f37e74dcec801f3e659546e03", 652_159_558, of.GPT2, ()),),
    "gpt2_345m": (("openai_webtext", "29173e25d2f3b187745bea6689693bb771862f81", 1_625_166_774, of.GPT2_MEDIUM, ()),),
    "xlnet_cased_l12_h768_a12": (
        ("126gb", "ca7a092186ec3f42ef25590a872450409faaa84f", 565_326_182, of.XLNET_BASE, (LANGUAGE_MODEL,)),
    ),
    "xlnet_cased_l24_h1024_a16": (
        ("126gb", "ceae74798c1577bcf5ffb3c46b73b056a5ead786", 1_572_315_654, of.XLNET_LARGE, (LANGUAGE_MODEL,)),
    ),
}
FAMILIES = {
    # beginning of a size's name -> family, title of the table
    "bert": ("bert", "language model"),
    "distilbert": ("distilbert", "encoder"),
    "ernie": ("ernie", "language model"),
    "gpt2": ("gpt2", "language model"),
    "roberta": ("roberta", "language model"),
    "xlnet": ("xlnet", "language model"),
}
CLASSES = {
    ("bert", ALL): "BertForPreTraining",
    ("bert", (POOLER, NEXT_SENTENCE)): "BertForNextSentencePrediction",
    ("bert", (POOLER,)): "BertModel",
    ("distilbert", ()): "BertModel",
    ("ernie", (POOLER,)): "BertModel",
    ("gpt2", ()): "GPT2LMHeadModel",
    ("roberta", (MASKED_LM,)): "RobertaForMaskedLM",
    ("xlnet", (LANGUAGE_MODEL,)): "XLNetLMHeadModel",
}
"""Family and optional parts -> target class."""

ELMO: Final = "transformers has no class for ELMo"
LSTM: Final = "transformers has no class for an LSTM"
TRANSLATION: Final = "no family of ours has this translation model"
WITHOUT_CLASS = (
    # name, SHA-1, vocabulary, origin, why there is no target class
    ("elmo_2x1024_128_2048cnn_1xhighway_gbw", "8c9257d9153436e9eb692f9ec48d8ee07e2120f8", None, of.PETERS, ELMO),
    ("elmo_2x2048_256_2048cnn_1xhighway_gbw", "85eab56a3c90c6866dd8d13b50449934be58a2e6", None, of.PETERS, ELMO),
    ("elmo_2x4096_512_2048cnn_2xhighway_5bw", "79af623840c13b10cb891d20c207afc483ab27b9", None, of.PETERS, ELMO),
    ("elmo_2x4096_512_2048cnn_2xhighway_gbw", "5608a09f33c52e5ab3f043b1793481ab448a0347", None, of.PETERS, ELMO),
    ("standard_lstm_lm_200_wikitext-2", "b233c700e80fb0846c17fe14846cb7e08db3fd51", WIKITEXT_2, of.NO_PAPER, LSTM),
    ("standard_lstm_lm_650_wikitext-2", "631f39040cd65b49f5c8828a0aba65606d73a9cb", WIKITEXT_2, of.NO_PAPER, LSTM),
    (
        "standard_lstm_lm_1500_wikitext-2",
        "a416351377d837ef12d17aae27739393f59f0b82",
        WIKITEXT_2,
        of.NO_PAPER,
        LSTM,
    ),
    ("awd_lstm_lm_600_wikitext-2", "e952becc7580a0b5a6030aab09d0644e9a13ce18", WIKITEXT_2, of.MERITY, LSTM),
    ("awd_lstm_lm_1150_wikitext-2", "f9562ed05d9bcc7e1f5b7f3c81a1988019878038", WIKITEXT_2, of.MERITY, LSTM),
    ("big_rnn_lm_2048_512_gbw", "6bb3e991eb4439fabfe26c129da2fe15a324e918", GBW, of.JOZEFOWICZ, LSTM),
    (
        "transformer_en_de_512_WMT2014",
        "e25287c5a924b7025e08d626f02626d5fa3af2d1",
        WMT2014,
        of.VASWANI,
        TRANSLATION,
    ),
)


def entries() -> Iterator[ZooEntry]:
    """Every published file of 0.x."""
    rows = ((variant, *row) for variant, files in FILES.items() for row in files)
    for variant, dataset, sha1, size, origin, parts in rows:
        family, form = FAMILIES[variant.partition("_")[0]]
        name = f"{variant}_{dataset}"
        yield ZooEntry(
            name,
            "0.x",
            f"{name}-{sha1[:8]}.params",
            sha1,
            size,
            vocabulary=OF_0_X[dataset],
            family=family,
            form=form,
            variant=variant,
            architecture=CLASSES[family, parts],
            parts=parts,
            copies=2 if {MASKED_LM, LANGUAGE_MODEL} & {*parts} or family == "gpt2" else 0,
            origin=origin,
        )
    for name, sha1, vocabulary, origin, refusal in WITHOUT_CLASS:
        yield ZooEntry(
            name, "0.x", f"{name}-{sha1[:8]}.params", sha1, vocabulary=vocabulary, refusal=refusal, origin=origin
        )
