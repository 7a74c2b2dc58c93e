import argparse
import importlib
import re

from centernet.analysis import remedies
from centernet.analysis.inspector.error_types import ErrorType
from centernet.heads import BOX_HEADS
from centernet.training.option_names import known_option_names


def test_each_cause_has_a_remedy():
    assert remedies.MISSED_OBJECTS.keys() | remedies.FALSE_POSITIVES.keys() == set(ErrorType)
    assert remedies.OUTPUTS.keys() == {"heatmap"} | {
        head.name for heads in BOX_HEADS.values() for head in heads
    }


def test_the_options_in_remedies_exist():
    parser = argparse.ArgumentParser()
    importlib.import_module("centernet.cli.detect").add_arguments(parser)
    texts = [*remedies.MISSED_OBJECTS.values(), *remedies.FALSE_POSITIVES.values()]
    named = re.findall(r"--[\w.-]*\w", " ".join([*texts, *remedies.OUTPUTS.values()]))
    assert len(set(named)) == 6
    assert set(named) <= known_option_names() | parser._option_string_actions.keys()
