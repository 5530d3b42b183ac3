"""The toy game: what the theory says of it, and that it plays fair."""

import math
from dataclasses import replace

import pytest
import torch

from lessonkit.figures import render
from lessonkit.toy_gan import (
    AXIS,
    Players,
    ToyGame,
    bell,
    best_discriminator,
    discriminator_turn,
    distance_to_real,
    draw_fork,
    draw_frame,
    draw_real,
    game_value,
    generator_turn,
    jensen_shannon,
    play_game,
    smooth_density,
)

SHORT = ToyGame(rounds=6, frames=3)


def weights(network):
    return [weight.clone() for weight in network.parameters()]


def are_equal(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


# --- the theory ---


def test_bell_is_a_density_with_its_mean_and_spread():
    density = bell(1.0, 0.5)
    assert torch.trapezoid(density, AXIS).item() == pytest.approx(1)
    assert torch.trapezoid(AXIS * density, AXIS).item() == pytest.approx(1)
    assert torch.trapezoid((AXIS - 1) ** 2 * density, AXIS).item() == pytest.approx(0.25)


def test_smooth_density_of_many_numbers_is_nearly_their_bell():
    numbers = 1 + 0.5 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    assert (smooth_density(numbers) - bell(1.0, 0.5)).abs().max() < 0.08


def test_best_discriminator_for_two_bells_is_a_sigmoid():
    """Bells of one spread s around m and -m: log p/q = 2 m x / s²."""
    best = best_discriminator(bell(1.0, 0.8), bell(-1.0, 0.8))
    torch.testing.assert_close(best, torch.sigmoid(2 * AXIS / 0.64))


def test_no_critic_earns_more_than_the_best():
    p, q = bell(1.0, 0.6), bell(-0.5, 0.9)
    best = best_discriminator(p, q)
    value = game_value(best, p, q)
    assert value == pytest.approx(-math.log(4) + 2 * jensen_shannon(p, q))
    for other in (torch.full_like(p, 0.5), best.square(), best.sqrt(), 0.9 * best + 0.02):
        assert game_value(other, p, q) < value


def test_value_is_minus_log_4_for_a_coin():
    coin = torch.full_like(AXIS, 0.5)
    assert game_value(coin, bell(2, 0.5), bell(-1, 1)) == pytest.approx(-math.log(4), abs=1e-3)


def test_jensen_shannon_from_the_same_to_apart():
    assert jensen_shannon(bell(1, 0.5), bell(1, 0.5)) == pytest.approx(0, abs=1e-9)
    assert jensen_shannon(bell(3, 0.3), bell(-3, 0.3)) == pytest.approx(math.log(2), abs=1e-6)
    middle = jensen_shannon(bell(1, 0.5), bell(0, 0.5))
    assert middle == pytest.approx(jensen_shannon(bell(0, 0.5), bell(1, 0.5)))
    assert 0 < middle < math.log(2)


def test_distance_to_real_is_scipys_wasserstein_distance():
    from scipy.stats import wasserstein_distance

    frame = play_game(SHORT)[-1]
    real = draw_real(SHORT, 1000, torch.Generator().manual_seed(1))[1].flatten()
    expected = wasserstein_distance(frame.fake.numpy(), real.numpy())
    assert distance_to_real(frame, SHORT) == pytest.approx(expected, rel=1e-4)


# --- the turns ---


def test_each_turn_trains_one_player_only():
    players = Players(SHORT)
    generator, discriminator = weights(players.generator), weights(players.discriminator)
    discriminator_turn(players)
    assert are_equal(generator, weights(players.generator))
    assert not are_equal(discriminator, weights(players.discriminator))
    discriminator = weights(players.discriminator)
    generator_turn(players)
    assert are_equal(discriminator, weights(players.discriminator))
    assert not are_equal(generator, weights(players.generator))


@pytest.mark.parametrize(
    "objective, expected", [("non-saturating", math.log(2)), ("saturating", -math.log(2))]
)
def test_losses_against_a_critic_who_says_one_half(objective, expected):
    players = Players(replace(SHORT, objective=objective))
    torch.nn.init.zeros_(players.discriminator[-1].weight)
    torch.nn.init.zeros_(players.discriminator[-1].bias)
    assert generator_turn(players).item() == pytest.approx(expected)
    assert discriminator_turn(players).item() == pytest.approx(math.log(2))


def test_real_numbers_gather_where_they_should():
    random = torch.Generator().manual_seed(0)
    L, x = draw_real(ToyGame(centers=(-2.0, 2.0)), 4000, random)
    assert L.shape == (4000, 0) and x.shape == (4000, 1)
    assert (x > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert x[x > 0].mean().item() == pytest.approx(2, abs=0.05)
    L, x = draw_real(ToyGame(is_fork=True), 4000, random)
    assert L.min() >= 0 and L.max() <= 1
    assert (x.abs() - 2 * L).abs().mean() < 0.15


# --- whole games ---


def test_same_seed_same_film_another_seed_another():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = play_game(SHORT)
    assert torch.equal(torch.get_rng_state(), state), "the notebook's random numbers were touched"
    torch.manual_seed(6)
    again, other = play_game(SHORT), play_game(replace(SHORT, seed=1))
    assert torch.equal(first[-1].fake, again[-1].fake)
    assert torch.equal(first[-1].probability, again[-1].probability)
    assert not torch.equal(first[-1].fake, other[-1].fake)


def test_a_game_gives_the_threads_back():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        play_game(SHORT)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_film_has_the_beginning_and_evenly_spaced_rounds():
    film = play_game(SHORT)
    assert [frame.round for frame in film] == [0, 2, 4, 6]
    assert math.isnan(film[0].loss_d) and not math.isnan(film[1].loss_g)
    assert film[0].fake.shape == (1000,) and film[0].probability.shape == AXIS.shape
    assert (film[1].probability >= 0).all() and (film[1].probability <= 1).all()


def test_held_generator_and_the_critic_that_finds_p_over_p_plus_q():
    """The oracle: against a fixed G, D approaches the ratio of densities it was never told."""
    game = ToyGame(start=1.0, d_turns=5, g_turns=0, rounds=120)
    film = play_game(game)
    assert torch.equal(film[0].fake, film[-1].fake)
    p, q = bell(2.0, game.spread), smooth_density(film[-1].fake, width=0.05)
    is_seen = p + q > 0.1
    best = best_discriminator(p, q)
    first, last = (
        (frame.probability - best)[is_seen].abs().mean() for frame in (film[0], film[-1])
    )
    assert first > 0.25
    assert last < 0.08


def test_game_brings_the_fakes_to_the_real_numbers():
    last = play_game(ToyGame(d_turns=5, rounds=200))[-1]
    assert last.fake.mean().item() == pytest.approx(2, abs=0.5)
    assert last.fake.std().item() == pytest.approx(0.5, abs=0.25)
    assert last.d_fake == pytest.approx(0.5, abs=0.15)


def test_without_noise_there_is_one_answer():
    last = play_game(replace(SHORT, noise=0))[-1]
    assert last.fake.std() == 0
    fork = play_game(replace(SHORT, is_fork=True, noise=0))[-1]
    order = fork.lightness[:, 0].argsort()
    assert fork.fake[order].diff().abs().max() < 0.1  # one curve over the lightness


def test_frames_can_be_drawn():
    import matplotlib.pyplot as plt

    frame = play_game(SHORT)[-1]
    assert draw_frame(frame, SHORT).size == (800, 520)
    fork = replace(SHORT, is_fork=True)
    figure, axes = plt.subplots()
    draw_fork(play_game(fork)[-1], fork, axes)
    assert render(figure).size[0] > 0
