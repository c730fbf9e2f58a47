"""`make oracle`: `tests.oracle.compare`, with the libraries kept quiet and off the network."""

import logging
import os
import sys
import warnings


def main() -> int:
    os.environ["TQDM_DISABLE"] = "1"  # before the libraries read it
    os.environ["HF_HUB_OFFLINE"] = "1"
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    from tests.oracle.compare import compare

    return compare()


if __name__ == "__main__":
    sys.exit(main())
