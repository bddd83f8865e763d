"""The program in the training Job: `python -m services.train.job REQUEST_FILE`."""

from bookmill.v1 import train_pb2
from services.jobs.program import run
from services.train.job.program import train_model
from services.train.step import TRAIN

if __name__ == "__main__":
    raise SystemExit(run(TRAIN, train_pb2.TrainingSpec, train_pb2.TrainingResult, train_model))
