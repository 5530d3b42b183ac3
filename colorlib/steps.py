"""The two training steps: one for the discriminator, one for the generator.

Freeze G and train D: it should call the real colors real (label 1) and G's colors fake (label 0).
Freeze D and train G: D should call its colors real, and with a reconstruction loss they should
also be close to the real ones. The loop around these steps is in `colorlib.training`.
"""

import math

import torch
from torch import Tensor, nn

from colorlib import parallel
from colorlib.config import TrainConfig
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.generator import GENERATORS, PretrainedUNet
from colorlib.losses import OBJECTIVES, RECONSTRUCTIONS, gradient_penalty


class Networks:
    """The generator and the discriminator with their optimizers: everything that a step needs.

    Without an adversarial loss there is no discriminator: it and its optimizer are None.

    A network that is passed in is trained as it is, so a part that is frozen stays frozen. If
    nothing in it requires gradients, as after `load_generator`, all of it is trained, except for
    the encoder of a `PretrainedUNet`: a few photos have nothing to teach it.

    Args:
        config: names the networks, the losses and Adam's settings.
        generator: used in place of the one that config names.
        discriminator: likewise.
        device: where the networks are trained.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ):
        self.config, self.device = config, torch.device(device)
        self.is_warming_up = config.warm_up > 0
        self.has_head_start = False  # whether D already trains in the warm-up
        self.generator = self._place(generator or make_generator(config))
        self.discriminator = self.optimizer_d = None
        if config.adversarial != "none":
            self.discriminator = self._place(discriminator or make_discriminator(config))
            self.optimizer_d = self._adam(self.discriminator, config.d_learning_rate, config.betas)
        self.optimizer_g = self._generator_optimizer()
        self.dtype = choose_precision(config.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def _place(self, network: nn.Module) -> nn.Module:
        if not any(parameter.requires_grad for parameter in network.parameters()):
            network.requires_grad_(True)
            if isinstance(network, PretrainedUNet):
                network.encoder.requires_grad_(False)
        if parallel.count() > 1:  # all processes start with the first one's weights
            state = {name: value.cpu() for name, value in network.state_dict().items()}
            network.load_state_dict(parallel.from_first(state))
        # channels last: the layout that a GPU's convolutions prefer; a CPU hardly minds
        return network.to(self.device, memory_format=torch.channels_last).train()

    def _adam(self, network: nn.Module, learning_rate: float, betas: tuple, weight_decay=0.0):
        options = {"weight_decay": weight_decay, "fused": True}  # with 0, this is plain Adam
        return torch.optim.AdamW(network.parameters(), learning_rate, betas, **options)

    def _generator_optimizer(self) -> torch.optim.AdamW:
        rate, betas = self.config.learning_rate, self.config.betas
        if self.is_warming_up:
            rate, betas = self.config.warm_up_learning_rate, (0.9, 0.999)
        return self._adam(self.generator, rate, betas, self.config.weight_decay)

    def end_warm_up(self) -> None:
        """Start the GAN stage, with a new optimizer for G."""
        self.is_warming_up = False
        self.optimizer_g = self._generator_optimizer()

    def decay_learning_rates(self, progress: float) -> None:
        """Set the learning rates, given the progress of the current stage, 0..1.

        In the warm-up G's rate falls along a cosine, and D's stays full during its head start. In
        the GAN stage both rates are full for the first half, then fall linearly.
        """
        if self.is_warming_up:
            factor, optimizers = 0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)), []
        else:
            factor, optimizers = 2 - 2 * max(progress, 0.5), [self.optimizer_d]
        for optimizer in filter(None, [self.optimizer_g, *optimizers]):
            optimizer.param_groups[0]["lr"] = factor * optimizer.defaults["lr"]

    def autocast(self) -> torch.autocast:
        """Compute in the run's precision; the losses stay in float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def state_dict(self) -> dict:
        """Everything that changes during training."""
        parts = [part.state_dict() if part is not None else None for part in self._parts()]
        return {"is_warming_up": self.is_warming_up, "parts": parts}

    def load_state_dict(self, state: dict) -> None:
        """Restore a saved state."""
        if self.is_warming_up and not state["is_warming_up"]:
            self.end_warm_up()
        for part, saved in zip(self._parts(), state["parts"], strict=True):
            if saved:  # the scaler's state is empty when it is not used
                part.load_state_dict(saved)

    def _parts(self) -> tuple:
        networks = (self.generator, self.discriminator)
        return (*networks, self.optimizer_g, self.optimizer_d, self.scaler)

    def is_finite(self) -> bool:
        """Whether all weights and running statistics of both networks are finite."""
        networks = filter(None, (self.generator, self.discriminator))
        values = (v for network in networks for v in network.state_dict().values())
        # one wait for the device, not one per tensor
        return bool(torch.stack([v.isfinite().all() for v in values]).all())


def train_step(networks: Networks, L: Tensor, real_ab: Tensor, step: int) -> dict[str, Tensor]:
    """Train on one batch: D's step, then G's, if the schedule has them; `step` counts from 1.

    Returns the losses of the steps that were taken.
    """
    config, losses, fake_ab = networks.config, {}, None
    d_trains = networks.discriminator and (networks.has_head_start or not networks.is_warming_up)
    is_d_turn = d_trains and step % config.d_every == 0
    is_g_turn = step % config.g_every == 0 or networks.is_warming_up
    if config.reuse_forward and is_d_turn and is_g_turn:
        with networks.autocast():
            fake_ab = networks.generator(L)
    if is_d_turn:
        losses |= discriminator_step(networks, L, real_ab, fake_ab)
    if is_g_turn:
        losses |= generator_step(networks, L, real_ab, fake_ab)
    return losses


def discriminator_step(
    networks: Networks, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Freeze G and train D once: real colors should be called real, G's fake.

    Args:
        networks: only D changes (and G's running statistics, if G is called here).
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L, if already computed; no gradient flows into them.

    Returns:
        loss_d, and d_real and d_fake: D's mean probability of "real" for real and fake colors
        (not for WGAN-GP, whose scores aren't logits). Detached, on the device.
    """
    config, discriminator = networks.config, networks.discriminator
    objective = OBJECTIVES[config.adversarial]
    with networks.autocast():
        if fake_ab is None:
            with torch.no_grad():
                fake_ab = networks.generator(L)
        fake_ab = fake_ab.detach()
        logits_real = discriminator(L, real_ab)
        logits_fake = discriminator(L, fake_ab)
        loss = objective.discriminator(logits_real.float(), logits_fake.float())
        if objective.has_gradient_penalty:
            penalty = gradient_penalty(discriminator, L, real_ab, fake_ab)
            loss = loss + config.lambda_penalty * penalty
    learn(networks, networks.optimizer_d, loss)
    losses = {"loss_d": loss.detach()}
    if not objective.has_gradient_penalty:
        losses["d_real"] = torch.sigmoid(logits_real.detach().float()).mean()
        losses["d_fake"] = torch.sigmoid(logits_fake.detach().float()).mean()
    return losses


def generator_step(
    networks: Networks, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Freeze D and train G once: D should call its colors real, and they should match the photo.

    Args:
        networks: only G changes (and D's running statistics). In the warm-up D isn't called.
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L with their graph, if already computed.

    Returns:
        loss_g and its parts: loss_adversarial, loss_reconstruction. Detached, on the device.
    """
    config, losses = networks.config, {}
    has_adversary = config.adversarial != "none" and not networks.is_warming_up
    loss = 0.0
    with networks.autocast():
        fake_ab = networks.generator(L) if fake_ab is None else fake_ab
        if has_adversary:
            logits_fake = networks.discriminator(L, fake_ab)
            loss = OBJECTIVES[config.adversarial].generator(logits_fake.float())
            losses["loss_adversarial"] = loss.detach()
        if config.reconstruction != "none":
            difference = RECONSTRUCTIONS[config.reconstruction](fake_ab.float(), real_ab)
            losses["loss_reconstruction"] = difference.detach()
            loss = loss + (config.lambda_reconstruction if has_adversary else 1.0) * difference
    learn(networks, networks.optimizer_g, loss)
    return {"loss_g": loss.detach(), **losses}


def learn(networks: Networks, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one optimizer step; the other network gets no gradients, so it is frozen."""
    optimizer.zero_grad(set_to_none=True)
    learning = [each for each in optimizer.param_groups[0]["params"] if each.requires_grad]
    networks.scaler.scale(loss).backward(inputs=learning)
    if parallel.count() > 1:
        gradients = [each.grad for each in learning if each.grad is not None]
        means = parallel.mean_of_all(torch.cat([each.flatten() for each in gradients]))
        for each, mean in zip(gradients, means.split([each.numel() for each in gradients])):
            each.copy_(mean.view_as(each))
    networks.scaler.step(optimizer)
    networks.scaler.update()


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
    """Choose the dtype: bfloat16 on GPUs that have it, float16 on older ones, else float32."""
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    return getattr(torch, precision)
