"""``centernet validate``."""

HELP = "compute COCO's average precision of a trained model"
EXTRA = "train"


def run(arguments: list[str]) -> None:
    """Validate a checkpoint; print and save the metrics."""
    from centernet.training.early_checks import check_arguments
    from centernet.training.stopping import stop_with_message

    with stop_with_message() as signals:
        check_arguments(arguments, "val")
        from centernet.training.train_cli import main

        signals.check()
        main(["validate", *arguments])
