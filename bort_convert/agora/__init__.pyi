from bort_convert.agora.core import Agora, replay
from bort_convert.agora.options import Options
from bort_convert.agora.report import Figure
from bort_convert.agora.run import BestModel, Run, agora
from bort_convert.agora.theta import grid

__all__ = ["Agora", "BestModel", "Figure", "Options", "Run", "agora", "grid", "replay"]
