"""The train service with the fake job in place of the trainer: `python -m tests.support.fake_train_service`."""

from dataclasses import replace

from services.train import __main__ as service
from tests.support.fake_jobs import KIND

if __name__ == "__main__":
    service.TRAINING = replace(service.TRAINING, program=KIND.program)
    service.main()
