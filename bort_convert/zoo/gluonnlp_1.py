"""The published files of GluonNLP 1.0, with the bytes and the SHA-1 that it states.

The number of arrays follows from GluonNLP's own networks; it was not counted in archives beyond 4 GiB. A test computes
number and bytes from our tables and formats.

Source: dmlc/gluon-nlp master at 14553a0c, models/model_zoo_checksums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bort_convert.zoo import origins
from bort_convert.zoo import vocabularies as known
from bort_convert.zoo.entry import Origin, Vocabulary, ZooEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE, LARGE = "google_bert_base", "google_bert_large"
SMALL_OWT: Final = "gluon_electra_small_owt"
MOBILEBERT: Final = "google_uncased_mobilebert"

MODELS: Final[dict[str, tuple[str, str, Vocabulary, Origin]]] = {
    # model -> family, published size, vocabulary, what is known of it
    "google_en_cased_bert_base": ("bert-1.0", BASE, known.BERT_CASED, origins.BASE_CASED),
    "google_en_uncased_bert_base": ("bert-1.0", BASE, known.BERT_UNCASED, origins.BASE_UNCASED),
    "google_en_cased_bert_large": ("bert-1.0", LARGE, known.BERT_CASED, origins.LARGE_CASED),
    "google_en_uncased_bert_large": ("bert-1.0", LARGE, known.BERT_UNCASED, origins.LARGE_UNCASED),
    "google_zh_bert_base": ("bert-1.0", BASE, known.BERT_CHINESE, origins.CHINESE),
    "google_multi_cased_bert_base": ("bert-1.0", BASE, known.BERT_MULTILINGUAL, origins.MANY_CASED),
    "google_en_cased_bert_wwm_large": ("bert-1.0", LARGE, known.BERT_CASED, origins.WHOLE_CASED),
    "google_en_uncased_bert_wwm_large": ("bert-1.0", LARGE, known.BERT_UNCASED, origins.WHOLE_UNCASED),
    "gluon_en_cased_bert_base_v1": ("bert-1.0", BASE, known.BERT_CASED, origins.GLUON_BERT_1),
    **{name: ("albert", name, known.ALBERT, origin) for name, origin in origins.ALBERT.items()},
    **{name: ("electra", name, known.BERT_UNCASED, origin) for name, origin in origins.ELECTRA.items()},
    SMALL_OWT: ("electra", SMALL_OWT, known.BERT_UNCASED, origins.GLUON_ELECTRA),
    MOBILEBERT: ("mobilebert", MOBILEBERT, known.BERT_UNCASED, origins.MOBILEBERT),
    "fairseq_roberta_base": ("roberta-1.0", "fairseq_roberta_base", known.ROBERTA, origins.ROBERTA_BASE),
    "fairseq_roberta_large": ("roberta-1.0", "fairseq_roberta_large", known.ROBERTA, origins.ROBERTA_LARGE),
    **{name: ("xlm-roberta", name, known.XLM_R, origin) for name, origin in origins.XLM_R.items()},
    **{name: ("gpt2-1.0", name, known.GPT2, origin) for name, origin in origins.GPT2_1.items()},
    "fairseq_bart_base": ("bart", "fairseq_bart_base", known.BART_BASE, origins.BART["fairseq_bart_base"]),
    "fairseq_bart_large": ("bart", "fairseq_bart_large", known.ROBERTA, origins.BART["fairseq_bart_large"]),
    **{name: ("t5", name, known.T5, origin) for name, origin in origins.T5.items()},
    **{name: ("mt5", name, known.MT5, origin) for name, origin in origins.MT5.items()},
}
STACKS, MASKED_LM = "encoder and decoder", "masked language model"
FORMS: Final = {
    # family, beginning of the file's name -> table, target class
    ("bert-1.0", "model"): ("backbone", "BertModel"),
    ("bert-1.0", "model_mlm"): (MASKED_LM, "BertForPreTraining"),
    ("albert", "model"): ("backbone", "AlbertModel"),
    ("albert", "model_mlm"): (MASKED_LM, "AlbertForPreTraining"),
    ("electra", "model"): ("backbone", "ElectraModel"),
    ("electra", "disc_model"): ("discriminator", "ElectraForPreTraining"),
    ("electra", "gen_model"): ("generator", "ElectraForMaskedLM"),
    ("mobilebert", "model"): ("backbone", "MobileBertModel"),
    ("mobilebert", "model_mlm"): ("pretraining", "MobileBertForPreTraining"),
    ("roberta-1.0", "model"): ("backbone", "RobertaModel"),
    ("roberta-1.0", "model_mlm"): (MASKED_LM, "RobertaForMaskedLM"),
    ("xlm-roberta", "model"): ("backbone", "XLMRobertaModel"),
    ("xlm-roberta", "model_mlm"): (MASKED_LM, "XLMRobertaForMaskedLM"),
    ("gpt2-1.0", "model"): ("backbone", "GPT2Model"),
    ("gpt2-1.0", "model_lm"): ("language model", "GPT2LMHeadModel"),
    ("bart", "model"): (STACKS, "BartForConditionalGeneration"),
    ("t5", "model"): (STACKS, "T5ForConditionalGeneration"),
    ("mt5", "model"): (STACKS, "MT5Model"),
}
PARTS: Final = {
    **{(family, table): ("pooler",) for family in ("bert-1.0", "albert") for table in ("backbone", MASKED_LM)},
    **{("electra", table): ("embedding projection",) for table in ("backbone", "discriminator", "generator")},
}
UNPROJECTED: Final = frozenset({"google_electra_base", "google_electra_large"})
"""Sizes whose embeddings are as wide as their layers."""
SMALL_GENERATORS: Final = frozenset({"google_electra_base", "google_electra_large", SMALL_OWT})
"""Models whose generator is of another published size than the discriminator."""

FILES = (
    # model, beginning of the file's name, SHA-1, bytes, arrays, names of a tied tensor
    ("google_en_cased_bert_base", "model", "c566c289e824e8b8b66bd3ee92c571bfd20b4280", 433_253_136, 151, 0),
    ("google_en_cased_bert_base", "model_mlm", "bde14bee070cbc634de8f73e17a2c824606b8c8a", 435_740_186, 156, 1),
    ("google_en_uncased_bert_base", "model", "3712e50af896412222415ceabc94b8d6750e7e79", 437_941_008, 151, 0),
    ("google_en_uncased_bert_base", "model_mlm", "04e88b5874ce62c273118bf01b3ff6bdf4a56351", 440_434_162, 156, 1),
    ("google_en_cased_bert_large", "model", "7aa937046ee83d966fadb450abb69b77b5684dd7", 1_334_340_792, 295, 0),
    ("google_en_cased_bert_large", "model_mlm", "59ff3f6aa4b5fea5a85ef05b042c23eff4a4bf60", 1_338_668_082, 300, 1),
    ("google_en_uncased_bert_large", "model", "e53bbc579057d563d6f8804122af886729e59dbc", 1_340_591_288, 295, 0),
    ("google_en_uncased_bert_large", "model_mlm", "44bc70c0e616df05782f789dd326a6cca0f500eb", 1_344_924_682, 300, 1),
    ("google_zh_bert_base", "model", "2efbff631a6d16dee41f52901ce6fc9c8a892a60", 409_082_640, 151, 0),
    ("google_zh_bert_base", "model_mlm", "75339658a36f2e662f17c208bb8feebd22c128c1", 476_443_514, 157, 2),
    ("google_multi_cased_bert_base", "model", "c2110078ce0ed7a965f7cdd8886e7a56f64e1694", 711_425_808, 151, 0),
    ("google_multi_cased_bert_base", "model_mlm", "4611e7a38f72a48f11db2297485ba68c1f0f8958", 1_081_523_526, 157, 2),
    ("google_en_cased_bert_wwm_large", "model", "0fe841cfcb948b50aca9230db2a48e2873ade922", 1_334_340_792, 295, 0),
    ("google_en_uncased_bert_wwm_large", "model", "cb3ad3c2c365bc7ef8af0ac1618fbc574d939ea1", 1_340_591_288, 295, 0),
    ("gluon_en_cased_bert_base_v1", "model", "c9645538c9a94c1ae02441d39df34c47c26c8a51", 433_253_136, 151, 0),
    ("google_albert_base_v2", "model", "125be477d1cecc6843245eafe46ca1dc5961ffb5", 46_736_016, 21, 0),
    ("google_albert_base_v2", "model_mlm", "fe20650e289fcd1a36c09d39e1d5cf5ffa64ba32", 47_251_372, 26, 1),
    ("google_albert_large_v2", "model", "ad60bcd55cbba463c6e85062769fce846dd9fcf0", 70_737_552, 21, 0),
    ("google_albert_large_v2", "model_mlm", "6a5015ee845f874c1201b5a954275a489e0ed10c", 71_383_980, 26, 1),
    ("google_albert_xlarge_v2", "model", "4149c9e2793dbd9352d27ab11d67f84b0763f4b2", 234_901_136, 21, 0),
    ("google_albert_xlarge_v2", "model_mlm", "ee184d389424bab1adf17cc1feb86c69ba0791ff", 236_071_852, 26, 1),
    ("google_albert_xxlarge_v2", "model", "5601a0edddb11d324aecccca7f496ef09013481e", 890_384_016, 21, 0),
    ("google_albert_xxlarge_v2", "model_mlm", "d2e2b06f68668cab9c37dd60dca82f00e2e248ab", 892_603_308, 26, 1),
    ("google_electra_small", "model", "2654c8b4e240a5713078d2bd79582285c3f1b333", 53_945_262, 151, 0),
    ("google_electra_small", "disc_model", "137714b6c7f327e642861a7380dd94c8b3dbf1ea", 54_211_975, 155, 0),
    ("google_electra_small", "gen_model", "0c30d1c5678154937dee1d11bef8db6f43d4d767", 54_202_512, 156, 1),
    ("google_electra_base", "model", "31c235cc6da6f1872adffb31efe9318600b89ae5", 435_579_680, 149, 0),
    ("google_electra_base", "disc_model", "514bd353f9d42bc907bfa7e1175f4013b0147d7e", 437_947_611, 153, 0),
    ("google_electra_base", "gen_model", "253a62c9aa9de24d85e09a9ae62ef88501e53dff", 134_978_192, 156, 1),
    ("google_electra_large", "model", "9baf9ff55cee0195b7754aee7fcb3a1019c99f45", 1_336_395_080, 293, 0),
    ("google_electra_large", "disc_model", "5b820c026aa2ad779c1e9a41ff4ff1408fefacbf", 1_340_602_227, 297, 0),
    ("google_electra_large", "gen_model", "82c1b17b4b5ac19700c272858b0b211437f72855", 205_211_944, 300, 1),
    ("gluon_electra_small_owt", "model", "e9636891daae9f2940b2b3210cca3c34c3d8f21e", 53_748_654, 151, 0),
    ("gluon_electra_small_owt", "disc_model", "878360174ac71c3fdc7071be7835bea532c09b8d", 54_015_367, 155, 0),
    ("gluon_electra_small_owt", "gen_model", "45a6fb67e1e6cb65d22b80498f2152ce9780d579", 33_926_624, 157, 2),
    ("google_uncased_mobilebert", "model", "c8346cf2caf9cc422f081f03b50bc69945328894", 98_424_130, 1111, 0),
    ("google_uncased_mobilebert", "model_mlm", "53948e82d8ec091927af357387b36ade0e42b34c", 146_503_986, 1119, 1),
    ("fairseq_roberta_base", "model", "09a1520adf652468c07e43a6ed28908418fa58a7", 496_222_787, 148, 0),
    ("fairseq_roberta_base", "model_mlm", "29889e2b4ef20676fda117bb7b754e1693d0df25", 498_794_868, 153, 1),
    ("fairseq_roberta_large", "model", "6b043b91a6a781a12ea643d0644d32300db38ec8", 1_417_251_819, 292, 0),
    ("fairseq_roberta_large", "model_mlm", "119f38e1249bd28bea7dd2e90c09b8f4b879fa19", 1_421_664_140, 297, 1),
    ("fairseq_xlmr_base", "model", "3fa134e9a13e2329ffa7b8d39612695ed8397c9d", 1_109_814_851, 148, 0),
    ("fairseq_xlmr_base", "model_mlm", "86e379542a6430cd988ff4b6a25966949afc241a", 1_113_185_880, 153, 1),
    ("fairseq_xlmr_large", "model", "b62b074cdd41e682075e2407f842be6578696b26", 2_235_374_571, 292, 0),
    ("fairseq_xlmr_large", "model_mlm", "887506c20bda452cf13ef04390eaa57a55602a92", 2_240_585_840, 297, 1),
    ("gpt2_124M", "model", "bfed311d5c980ba475f90ccf7f536d25c3b40386", 497_769_466, 148, 0),
    ("gpt2_124M", "model_lm", "99b9060488b4542ccd045c28401da10a3158ca80", 497_771_820, 148, 1),
    ("gpt2_355M", "model", "81dee612413733899f6e5fbbeac91da781805e1b", 1_419_312_986, 292, 0),
    ("gpt2_355M", "model_lm", "eed0e964f4222823a557acfee2c106f228ce0188", 1_419_317_644, 292, 1),
    ("gpt2_774M", "model", "9917e24e89c651793adea69042d6cceddfc7973c", 3_096_150_714, 436, 0),
    ("gpt2_774M", "model_lm", "cfbfa6419aaf1eae480fba5a1a7c8ea6096d43d6", 3_096_157_676, 436, 1),
    ("gpt2_1558M", "model", "af3dd71313b55b4be5f52bdd538c9db054c1e190", 6_230_485_274, 580, 0),
    ("gpt2_1558M", "model_lm", "c8489dcbdb0d39bc3eac6d1d62e0e3dace9faa8f", 6_230_494_540, 580, 1),
    ("fairseq_bart_base", "model", "8f4929b54f2f77619885cea9f3bd7dba51a27f38", 560_560_748, 211, 1),
    ("fairseq_bart_large", "model", "862277b1489ed95140cb63279fbd0098ef2dea90", 1_625_180_962, 415, 1),
    ("google_t5_small", "model", "e34f6fbda666c02f0ffd5e15fec02056d3e3014d", 242_141_346, 163, 0),
    ("google_t5_base", "model", "e1956ac9670263b6803672bd0d7579f71d7494c6", 891_901_274, 319, 0),
    ("google_t5_large", "model", "bf5fc8138a04aa5f3bc495cacb010c873e59e909", 2_951_363_690, 631, 0),
    ("google_t5_3B", "model", "48ba72501239c8d2d355282eebdebd0935556780", 11_407_098_198, 0, 0),
    ("google_t5_11B", "model", "1936031c6db581ae866f41ec6d3c1c6de2049823", 45_229_995_126, 0, 0),
    ("google_mt5_small", "model", "b20e24d75d097e9eea647f4b9a0dc53b956a9d1a", 688_633_650, 231, 0),
    ("google_mt5_base", "model", "91eaa89444e062e2fc3953b1184e15ccf5375385", 1_561_555_474, 343, 0),
    ("google_mt5_large", "model", "6b46e841e9b1b4c8ad97b071b316f9c52c2731e6", 3_894_572_546, 679, 0),
    ("google_mt5_xl", "model", "7655ea81d4b7c9787dd1bfa902e96cdf9e124e3d", 12_922_784_462, 0, 0),
    ("google_mt5_xxl", "model", "2e9e44b9fc10d8a4c7133fa5e67ecadedfbfb692", 47_588_620_878, 0, 0),
)


def entries() -> Iterator[ZooEntry]:
    """Every published file of 1.0."""
    for model, form, sha1, size, arrays, copies in FILES:
        family, variant, vocabulary, origin = MODELS[model]
        table, architecture = FORMS[family, form]
        if form == "gen_model":
            variant = f"{variant}_generator" if model in SMALL_GENERATORS else variant
            origin = replace(origin, base_model=origin.base_model.replace("discriminator", "generator"))
        yield ZooEntry(
            f"{model}/{form}",
            "1.0",
            f"{form}-{sha1[:8]}.params",
            sha1,
            size,
            arrays,
            vocabulary,
            family,
            table,
            variant,
            architecture,
            parts=() if variant in UNPROJECTED else PARTS.get((family, table), ()),
            copies=copies,
            container="zip" if table == STACKS and family != "bart" else "list",
            origin=origin,
        )
