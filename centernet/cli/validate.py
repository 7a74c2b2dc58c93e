"""``centernet validate``."""

HELP = "compute COCO's average precision of a trained model"
PACKAGE = ".[train]"


def run(arguments: list[str]) -> None:
    """Validate a checkpoint; print and save the metrics."""
    from centernet.training.early_checks import check_arguments

    check_arguments(arguments, "val")
    from centernet.training.train_cli import main

    main(["validate", *arguments])
