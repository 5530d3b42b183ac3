"""The two steps: how the discriminator learns, and how the generator learns from it.

Hold G and train D: the photo's own colors are to be called real (label 1), G's fake (label 0).
Hold D and train G: its colors are to be called real, and to be near the photo's own if there is a
reconstruction loss. The loop around these steps is in `colorlib.training`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import signature

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from colorlib import parallel
from colorlib.config import TrainConfig
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.generator import GENERATORS
from colorlib.losses import OBJECTIVES, RECONSTRUCTIONS, colorfulness_loss, gradient_penalty


class Players:
    """The two networks with their optimizers: all that a step needs.

    `painter` and `critic` are the generator and the discriminator as the steps call them: compiled
    if the config says so, and with their gradients averaged where several processes train
    together. Their weights are the same; what is saved and tested are the plain networks. Without
    an adversarial loss there is no discriminator: it, its optimizer and the critic are None.

    Args:
        config: names the networks, the objective and Adam's settings.
        generator: used in place of the one that config names.
        discriminator: likewise.
        device: where they play.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ):
        self.config = config
        self.device = torch.device(device)
        self.generator = self._place(generator or make_generator(config))
        self.discriminator = self.optimizer_d = None
        if config.adversarial != "none":
            self.discriminator = self._place(discriminator or make_discriminator(config))
            self.optimizer_d = self._adam(self.discriminator, config.d_learning_rate, config.betas)
        self.painter = self._as_called(self.generator)
        self.critic = self._as_called(self.discriminator)
        self.is_warming_up = config.warm_up > 0
        self.has_head_start = False  # whether D learns although they do not play yet
        self.optimizer_g = self._generator_optimizer()
        self.dtype = choose_precision(config.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def _place(self, network: nn.Module) -> nn.Module:
        # channels last: the layout in which convolutions are fastest on CPU and GPU alike
        return network.to(self.device, memory_format=torch.channels_last).train()

    def _as_called(self, network: nn.Module | None) -> nn.Module | None:
        if network is not None and self.config.compile != "none":
            network = torch.compile(network, mode=self.config.compile, dynamic=False)
        if network is not None and parallel.count() > 1:
            # buffers stay each process's own: to overwrite them between D's two forward passes
            # would spoil the first one's backward pass; older torch has another name for it
            is_new = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
            option = "forward_sync_buffers" if is_new else "broadcast_buffers"
            network = DistributedDataParallel(network, **{option: False})
        return network

    def _adam(
        self, network: nn.Module, learning_rate: float, betas: tuple, weight_decay: float = 0.0
    ) -> torch.optim.AdamW:  # without decay it is plain Adam
        options = {"betas": betas, "weight_decay": weight_decay, "fused": True}
        return torch.optim.AdamW(network.parameters(), learning_rate, **options)

    def _generator_optimizer(self) -> torch.optim.AdamW:
        config = self.config
        rate, betas = config.learning_rate, config.betas
        if self.is_warming_up:
            rate, betas = config.warm_up_learning_rate, (0.9, 0.999)
        return self._adam(self.generator, rate, betas, config.weight_decay)

    def end_warm_up(self) -> None:
        """From now on both play; G's optimizer starts afresh, with the game's settings."""
        self.is_warming_up = False
        self.optimizer_g = self._generator_optimizer()

    def anneal(self, share: float) -> None:
        """Set the learning rates for a stage of which this share (0..1) has passed.

        In the warm-up G's falls along a cosine, and D's is full while it gets its head start. In
        the game both are full up to the middle, then fall in a line.
        """
        if self.is_warming_up:
            factor = 0.5 + 0.5 * math.cos(math.pi * min(share, 1.0))
            optimizers = [self.optimizer_g]
        else:
            factor = 2 - 2 * max(share, 0.5)
            optimizers = [self.optimizer_g, self.optimizer_d]
        for optimizer in filter(None, optimizers):  # without a game there is no D
            optimizer.param_groups[0]["lr"] = factor * optimizer.defaults["lr"]

    def autocast(self) -> torch.autocast:
        """Compute in the run's precision; the losses stay in float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def state_dict(self) -> dict:
        """All that changes while they play."""
        parts = [part.state_dict() if part is not None else None for part in self._parts()]
        return {"is_warming_up": self.is_warming_up, "parts": parts}

    def load_state_dict(self, state: dict) -> None:
        """Go back to a saved state."""
        if self.is_warming_up and not state["is_warming_up"]:
            self.end_warm_up()
        for part, saved in zip(self._parts(), state["parts"], strict=True):
            if saved:  # the scaler's state is empty where there was nothing to scale
                part.load_state_dict(saved)

    def _parts(self) -> tuple:
        networks = (self.generator, self.discriminator)
        return (*networks, self.optimizer_g, self.optimizer_d, self.scaler)

    def is_finite(self) -> bool:
        """Whether both networks are still made of numbers, running statistics included."""
        networks = filter(None, (self.generator, self.discriminator))
        values = (v for network in networks for v in network.state_dict().values())
        return bool(torch.stack([v.isfinite().all() for v in values]).all())  # one wait


def train_step(players: Players, L: Tensor, real_ab: Tensor, step: int) -> dict[str, Tensor]:
    """One batch: D's turn, then G's, as the schedule has it; `step` counts from 1.

    Returns the losses of both steps, as far as they were taken.
    """
    config, losses, fake_ab = players.config, {}, None
    may_learn = players.has_head_start or not players.is_warming_up
    is_d_turn = players.discriminator is not None and may_learn and step % config.d_every == 0
    is_g_turn = step % config.g_every == 0 or players.is_warming_up
    if config.compile == "reduce-overhead":
        torch.compiler.cudagraph_mark_step_begin()  # what the last step left may be overwritten
    if config.share_forward and is_d_turn and is_g_turn:
        with players.autocast():
            fake_ab = players.painter(L)
    if is_d_turn:
        losses |= discriminator_step(players, L, real_ab, fake_ab)
    if is_g_turn:
        losses |= generator_step(players, L, real_ab, fake_ab)
    return losses


def discriminator_step(
    players: Players, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Hold G and train D once: real colors are to be called real, G's fake.

    Args:
        players: the networks; only D changes (and G's running statistics, if G is asked here).
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L, if they were already computed; no gradient flows into them.

    Returns:
        loss_d, and d_real and d_fake: D's mean probability of "real" for either (left out for
        WGAN-GP, whose scores are no logits of one). Numbers on the device, detached.
    """
    config, critic = players.config, players.critic
    objective = OBJECTIVES[config.adversarial]
    with players.autocast():
        if fake_ab is None:
            with torch.no_grad():
                fake_ab = players.painter(L)
        fake_ab = fake_ab.detach()
        logits_real = critic(L, real_ab)
        logits_fake = critic(L, fake_ab)
        loss = objective.discriminator(logits_real.float(), logits_fake.float())
        if objective.has_gradient_penalty:
            penalty = gradient_penalty(critic, L, real_ab, fake_ab)
            loss = loss + config.lambda_penalty * penalty
    learn(players, players.optimizer_d, loss)
    losses = {"loss_d": loss.detach()}
    if not objective.has_gradient_penalty:
        losses["d_real"] = torch.sigmoid(logits_real.detach().float()).mean()
        losses["d_fake"] = torch.sigmoid(logits_fake.detach().float()).mean()
    return losses


def generator_step(
    players: Players, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Hold D and train G once: D is to call its colors real, and they are to be near the real ones.

    Args:
        players: the networks; only G changes (and D's running statistics). While they warm up, D
            is not asked.
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L with their graph, if they were already computed.

    Returns:
        loss_g and its parts: loss_adversarial, loss_reconstruction, loss_colorfulness. Numbers on
        the device, detached.
    """
    config, losses = players.config, {}
    has_adversary = config.adversarial != "none" and not players.is_warming_up
    loss = 0.0
    with players.autocast():
        fake_ab = players.painter(L) if fake_ab is None else fake_ab
        if has_adversary:
            with frozen(players.critic):
                logits_fake = players.critic(L, fake_ab)
            loss = OBJECTIVES[config.adversarial].generator(logits_fake.float())
            losses["loss_adversarial"] = loss.detach()
        if config.reconstruction != "none":
            difference = RECONSTRUCTIONS[config.reconstruction](fake_ab.float(), real_ab)
            losses["loss_reconstruction"] = difference.detach()
            loss = loss + (config.lambda_reconstruction if has_adversary else 1.0) * difference
    if config.lambda_colorfulness and not players.is_warming_up:
        gray = colorfulness_loss(L, fake_ab.float())  # not in 16 bits: it goes through a conversion
        losses["loss_colorfulness"] = gray.detach()
        loss = loss + config.lambda_colorfulness * gray
    learn(players, players.optimizer_g, loss)
    return {"loss_g": loss.detach(), **losses}


def learn(players: Players, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer down a loss."""
    optimizer.zero_grad(set_to_none=True)
    players.scaler.scale(loss).backward()
    players.scaler.step(optimizer)
    players.scaler.update()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for a network's parameters in this block: it passes them on, and learns none."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    is_shared = isinstance(network, DistributedDataParallel)  # it would wait for gradients
    try:
        with network.no_sync() if is_shared else nullcontext():
            yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def make_generator(config: TrainConfig) -> nn.Module:
    """The generator that a configuration names."""
    return GENERATORS[config.generator](config.generator_width)


def make_discriminator(config: TrainConfig) -> nn.Module:
    """The discriminator that a configuration names."""
    if config.discriminator == "image":
        return ImageDiscriminator(config.size)
    width, layers = config.discriminator_width, config.discriminator_layers
    return PatchDiscriminator(width, layers, config.discriminator_norm)


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type to compute in: bfloat16 on a GPU that has it, float16 on an older one, else float32.

    Raises:
        ValueError: float16 was asked for on a CPU, which has no scaler for its small range.
    """
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if precision == "float16" and device.type == "cpu":
        raise ValueError("float16 is for GPUs; on a CPU take float32 or bfloat16")
    return getattr(torch, precision)
