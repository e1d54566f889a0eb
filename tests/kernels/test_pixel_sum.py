import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from nanobrag_torch.errors import BackendUnavailable, InputError
from nanobrag_torch.kernels import cpu
from nanobrag_torch.kernels.lattice_sum import lattice_sum
from nanobrag_torch.kernels.packing import pack_scene
from nanobrag_torch.kernels.pixel_sum import pixel_sum, pixel_sum_jvp, why_not
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.physics.accumulate import accumulate

PIXELS = torch.arange(0, 320, 5)

ONE_TERM = {"oversample": 1, "layers": 1, "sources": 1}
BARE = {**ONE_TERM, "has_sensor": False, "layer_step": torch.zeros((), dtype=torch.float64)}

DIFFUSE = {
    "N": torch.tensor([0.011, 0.013, 0.017], dtype=torch.float64),
    "fudge": torch.tensor(310.0, dtype=torch.float64),
    "reciprocal": torch.tensor([[0.002, -0.001, 0.003], [90.0, 80.0, 70.0], [12.0, -9.0, 7.0]], dtype=torch.float64),
}
"""The thirteen numbers of the diffuse law, in the places of a shape's."""

CASES = {
    "cached factors": {},
    "resolution limit": {"dmin": 3.0},
    "resolution limit that cuts whole pixels": {"dmin": 8.0, "background": "nanobragg"},
    "background of cached factors": {"background": "nanobragg"},
    "background of all terms": {"background": "exact", "dmin": 3.0},
    "own solid angles": {"per_term_omega": True},
    "own polarization": {"per_term_polar": True, "background": "nanobragg"},
    "own capture fractions": {"per_term_thick": True},
    "own everything": {
        "per_term_omega": True,
        "per_term_polar": True,
        "per_term_thick": True,
        "background": "exact",
        "dmin": 3.0,
    },
    "no polarization": {"polarized": False, "background": "nanobragg", "dmin": 3.0},
    "no sensor": {"has_sensor": False, "layers": 1, "layer_step": torch.zeros((), dtype=torch.float64)},
    "point pixels": {"point_pixel": True},
    "interpolated": {"interpolate": True},
    "gaussian spots": {"shape": "gauss", "radius": "exact"},
    "round, one F": {
        "shape": "round",
        "structure_factors": StructureFactors.constant(3.0),
        "interpolate": True,
    },
    "diffuse": {"shape": "diffuse", **DIFFUSE},
    "diffuse, one F, one term": {
        "shape": "diffuse",
        **DIFFUSE,
        **BARE,
        "structure_factors": StructureFactors.constant(3.0),
    },
    "diffuse, interpolated": {"shape": "diffuse", **DIFFUSE, "interpolate": True, "radius": "exact"},
    "one term behind a sensor": ONE_TERM,
    "one term": BARE,
    "one term, not polarized at all": {**BARE, "polarized": False, "point_pixel": True},
    "one term, unpolarized beam": {**BARE, "polarization_factor": torch.zeros((), dtype=torch.float64)},
    "one term, one F": {**BARE, "structure_factors": StructureFactors.constant(3.0)},
    "curved": {"curved": "nanobragg", "background": "nanobragg"},
    "curved on a sphere": {"curved": "exact", "background": "exact", "per_term_omega": True},
}


@pytest.fixture(params=CASES)
def scene(request, make_scene):
    fused = why_not(make_scene())
    if fused is not None:
        pytest.skip(fused)
    return make_scene(**CASES[request.param])


def rotate(w, n, angle):
    return n * (n @ w) * (1 - math.cos(angle)) + w * math.cos(angle) + np.cross(n, w) * math.sin(angle)


class ByHand:
    """The specification read aloud, for one pixel at a time."""

    def __init__(self, scene):
        self.scene = scene
        self.v = {f.name: getattr(scene, f.name) for f in fields(scene)}
        self.v = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in self.v.items()}

    def sub_pixel(self, pixel, layer, slow, fast):
        v = self.v
        size, d, b = v["pixel_size"] / v["oversample"], v["distance"], v["beam"]
        j, i = divmod(pixel, v["pixels_f"])
        F = size * (i * v["oversample"] + fast) + size / 2
        S = size * (j * v["oversample"] + slow) + size / 2
        P = F * v["fast"] + S * v["slow"] + layer * v["layer_step"] * v["normal"] + v["origin"]
        if v["curved"] == "nanobragg":
            P = rotate(rotate(d * b, v["slow"], P[1] / d), v["fast"], P[2] / d)
        if v["curved"] == "exact":
            x, y = F - v["beam_centre"][0], S - v["beam_centre"][1]
            f = v["fast"] - (v["fast"] @ b) * b
            f = f / np.linalg.norm(f)
            s = np.cross(b, f)
            s = s * np.sign(s @ v["slow"])
            rho = math.hypot(x, y) / abs(d)
            P = abs(d) * (math.cos(rho) * b + math.sin(rho) * (x * f + y * s) / math.hypot(x, y))
        R = np.linalg.norm(P)
        if v["point_pixel"]:
            omega = v["point_area"] / R**2
        elif v["curved"] == "exact":
            omega = v["pixel_size"] ** 2 / R**2 * math.sin(rho) / rho
        else:
            omega = v["pixel_size"] ** 2 / R**2 * v["close_distance"] / R
        kappa = 1.0
        if v["has_sensor"]:
            obliquity = 1.0 if v["curved"] == "exact" else P @ v["normal"] / R
            a = v["layer_step"] * v["attenuation"] / obliquity
            kappa = math.exp(-layer * a) - math.exp(-(layer + 1) * a)
        return P / R, omega, kappa

    def polarization(self, direction, incident):
        if not self.v["polarized"]:
            return 1.0
        B = np.cross(self.v["polarization_axis"], incident)
        B = B / np.linalg.norm(B)
        E = np.cross(incident, B)
        psi, c = -math.atan2(direction @ B, direction @ E), incident @ direction
        return 0.5 * (1 + c * c - self.v["polarization_factor"] * math.cos(2 * psi) * (1 - c * c))

    def pixel(self, pixel):
        v, s = self.v, self.scene
        omega_c = kappa_c = None
        p_c = 0.0 if v["polarized"] else 1.0
        total = angle = mean = 0.0
        for layer, slow, fast in itertools.product(range(v["layers"]), *[range(v["oversample"])] * 2):
            direction, omega, kappa = self.sub_pixel(pixel, layer, slow, fast)
            omega_c = omega if omega_c is None else omega_c
            kappa_c = kappa if slow == fast == 0 else kappa_c
            angle += omega if v["per_term_omega"] else omega_c
            for incident, wavelength, weight in zip(v["incident"], v["wavelength"], v["weight"], strict=True):
                q, p = (direction - incident) / wavelength, self.polarization(direction, incident)
                mean += weight * p * omega * kappa / (v["oversample"] ** 2 * len(v["incident"]))
                if v["dmin"] > 0 and np.linalg.norm(q) > 0 and v["dmin"] > 1 / np.linalg.norm(q):
                    continue
                p_c = p if p_c == 0 else p_c
                intensity = lattice_sum(
                    torch.as_tensor(q)[None], s.A, s.N, s.structure_factors, shape=s.shape, radius=s.radius,
                    reciprocal=s.reciprocal, fudge=s.fudge, interpolation=s.interpolate, backend="reference",
                )  # fmt: skip
                factor = weight * (omega if v["per_term_omega"] else 1.0) * (p if v["per_term_polar"] else 1.0)
                total += factor * (kappa if v["per_term_thick"] else 1.0) * intensity.item()
        total *= 1.0 if v["per_term_omega"] else omega_c
        total *= 1.0 if v["per_term_polar"] else p_c
        total *= 1.0 if v["per_term_thick"] else kappa_c
        background = {"none": None, "nanobragg": kappa_c * p_c * omega_c, "exact": mean}[v["background"]]
        return total, background, angle


def leaves_of(scene):
    """The scene with every tensor a leaf, and those leaves by name."""
    changes = {f.name: getattr(scene, f.name) for f in fields(scene)}
    changes = {k: v.clone().requires_grad_() for k, v in changes.items() if isinstance(v, torch.Tensor)}
    table, leaves = scene.structure_factors, dict(changes)
    leaves["default_F"] = table.default_F.clone().requires_grad_()
    if table.values is not None:
        leaves["F"] = table.values.clone().requires_grad_()
    changes["structure_factors"] = StructureFactors(leaves.get("F"), table.origin, leaves["default_F"])
    return replace(scene, **changes), leaves


def weighted(sums):
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(2, len(sums.total), generator=generator, dtype=torch.float64) - 0.3
    loss = (sums.total * weights[0]).sum()
    return loss if sums.background is None else loss + 1e3 * (sums.background * weights[1]).sum()


def test_value_is_what_the_specification_says(scene):
    chosen = PIXELS[:: 7 if scene.layers > 1 else 3]
    expected = np.array([ByHand(scene).pixel(int(p)) for p in chosen], dtype=object)
    found = pixel_sum(scene, chosen, want_solid_angle=True)
    np.testing.assert_allclose(found.total, expected[:, 0].astype(float), rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found.solid_angle, expected[:, 2].astype(float), rtol=1e-12)
    if scene.background == "none":
        assert found.background is None
    else:
        np.testing.assert_allclose(found.background, expected[:, 1].astype(float), rtol=1e-12)


def plain(scene, pixels):
    """The same sums by the plain pipeline."""

    def lattice(S):
        return lattice_sum(
            S, scene.A, scene.N, scene.structure_factors, shape=scene.shape, radius=scene.radius, fudge=scene.fudge,
            reciprocal=scene.reciprocal, interpolation=scene.interpolate, backend="reference",
        )  # fmt: skip

    return accumulate(scene, pixels, lattice)


def test_value_and_every_gradient_are_those_of_the_plain_pipeline(scene):
    tracked, leaves = leaves_of(scene)
    sums = plain(tracked, PIXELS)
    fused = pixel_sum(scene, PIXELS, want_solid_angle=True)
    for a, b in zip(fused, sums, strict=True):
        assert (a is None and b is None) or (a - b.detach()).norm() <= 1e-12 * b.detach().norm()
    expected = torch.autograd.grad(weighted(sums), list(leaves.values()), allow_unused=True)
    found = torch.autograd.grad(weighted(pixel_sum(tracked, PIXELS)), list(leaves.values()), allow_unused=True)
    for name, a, b in zip(leaves, found, expected, strict=True):
        a = torch.zeros_like(leaves[name]) if a is None else a
        b = torch.zeros_like(leaves[name]) if b is None else b
        assert (a - b).norm() <= 1e-8 * b.norm(), name


def random_directions(packed, count, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *t.shape, generator=generator, dtype=torch.float64) for t in packed.tensors]


def test_directional_derivatives_are_rows_of_the_vector_jacobian_product(scene):
    """Each pixel's gradient, found one pixel at a time, contracted with random directions."""
    packed, pixels = pack_scene(scene, torch.float64), PIXELS[::7]
    tangents = random_directions(packed, 5)
    for number, tangent in enumerate(tangents):  # some tensors stand still in some directions
        tangent[number] = 0.0
    found = pixel_sum_jvp(scene, pixels, tangents)
    sums = pixel_sum(scene, pixels)
    np.testing.assert_allclose(found.total, sums.total, rtol=1e-10)
    leaves = tuple(t.clone().requires_grad_() for t in packed.tensors)
    again = pixel_sum(scene, pixels, packed=packed._replace(tensors=leaves))
    parts = [(again.total, found.by_total)]
    if sums.background is not None:
        np.testing.assert_allclose(found.background, sums.background, rtol=1e-10)
        parts.append((again.background, found.by_background))
    for values, derivatives in parts:
        for value, row in zip(values, derivatives, strict=True):
            gradients = torch.autograd.grad(value, leaves, retain_graph=True)
            pairs = zip(tangents, gradients, strict=True)
            terms = torch.stack([(t * g).reshape(5, -1).sum(1) for t, g in pairs])
            assert ((row - terms.sum(0)).abs() <= 1e-9 * terms.abs().sum(0) + 1e-300).all()


def test_directions_may_be_mapped_over_and_must_fit(make_scene):
    scene = make_scene(background="exact")
    if why_not(scene) is not None:
        pytest.skip(why_not(scene))
    packed = pack_scene(scene, torch.float64)
    tangents = random_directions(packed, 3)
    one_by_one = torch.vmap(lambda *t: tuple(pixel_sum_jvp(scene, PIXELS, [x[None] for x in t], packed=packed)[2:]))
    together = pixel_sum_jvp(scene, PIXELS, tangents)
    for mapped, expected in zip(one_by_one(*tangents), together[2:], strict=True):
        assert torch.equal(mapped[:, :, 0].T, expected)
    none = pixel_sum_jvp(scene, range(0, 0), [t[:0] for t in tangents])
    assert none.by_total.shape == (0, 0)
    with pytest.raises(InputError, match=r"tangents: .* give \[K, 33\]"):
        pixel_sum_jvp(scene, PIXELS, [tangents[1], *tangents[1:]])


def test_a_gradient_follows_the_value(make_scene):
    """Central differences, where no nearest index can jump."""
    tracked, leaves = leaves_of(make_scene(structure_factors=StructureFactors.constant(3.0), background="nanobragg"))
    generator = torch.Generator().manual_seed(2)
    for name in ("origin", "fast", "A", "wavelength", "incident", "attenuation", "polarization_factor"):
        leaf = leaves[name]
        (grad,) = torch.autograd.grad(weighted(pixel_sum(tracked, PIXELS)), leaf)
        step = 1e-7 * torch.rand(leaf.shape, generator=generator, dtype=torch.float64) * leaf.detach().abs().max()
        values = []
        for times in (-2, -1, 1, 2):
            with torch.no_grad():
                saved = leaf.clone()
                leaf += times * step
                values.append(weighted(pixel_sum(tracked, PIXELS)).item())
                leaf.copy_(saved)
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12
        assert (grad * step).sum().item() == pytest.approx(slope, rel=1e-5), name


def test_resolution_limit_cuts_some_pixels_whole(make_scene):
    sums = pixel_sum(make_scene(dmin=8.0, background="nanobragg"), range(320))
    cut = sums.total == 0
    assert 0 < cut.sum() < 320
    assert torch.equal(sums.background == 0, cut)


def test_a_range_is_the_list_of_its_members(make_scene):
    scene = make_scene()
    whole = pixel_sum(scene, range(320), want_solid_angle=True)
    part = pixel_sum(scene, range(37, 251))
    order = torch.randperm(320, generator=torch.Generator().manual_seed(1))
    assert torch.equal(part.total, whole.total[37:251])
    assert torch.equal(pixel_sum(scene, order).total, whole.total[order])
    assert torch.equal(pixel_sum(scene, torch.tensor([123])).total, whole.total[123:124])
    assert pixel_sum(scene, range(5, 5)).total.shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bits_do_not_depend_on_threads(make_scene, dtype):
    scene = make_scene(oversample=1, layers=1)
    scene = replace(scene, pixels_f=200)
    threads, images = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            images.append(pixel_sum(scene, range(20000), dtype=dtype).total)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])


def test_gradients_do_not_depend_on_threads(make_scene):
    tracked, leaves = leaves_of(make_scene(background="nanobragg"))
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            loss = weighted(pixel_sum(tracked, range(320)))
            found.append(torch.autograd.grad(loss, list(leaves.values()), allow_unused=True))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        for a, b in zip(other, found[0], strict=True):
            assert (a is None and b is None) or (a - b).norm() <= 1e-12 * b.norm()


def test_single_precision_and_single_output(make_scene):
    scene = make_scene()
    exact = pixel_sum(scene, range(320)).total
    mixed = pixel_sum(scene, range(320), dtype=torch.float32).total
    assert ((mixed - exact).norm() / exact.norm()).item() < 1e-6
    stored = pixel_sum(scene, range(320), out_dtype=torch.float32, scale=1e-3).total
    assert stored.dtype == torch.float32
    assert torch.equal(stored, (1e-3 * exact).to(torch.float32))


def test_scale_reaches_the_gradient(make_scene):
    tracked, leaves = leaves_of(make_scene())
    one = torch.autograd.grad(pixel_sum(tracked, PIXELS).total.sum(), leaves["A"])[0]
    two = torch.autograd.grad(pixel_sum(tracked, PIXELS, scale=2.0).total.sum(), leaves["A"])[0]
    torch.testing.assert_close(two, 2.0 * one, rtol=1e-12, atol=0)


@pytest.mark.skipif(cpu.why_not(torch.device("cpu"), torch.float64, "square", False) is not None, reason="not built")
def test_every_instruction_set_gives_the_same_image(make_scene):
    scene, best = make_scene(), cpu.level()
    try:
        images = []
        for most in (4, 3, 1):
            cpu.level(most)
            images.append(pixel_sum(scene, range(320)).total)
    finally:
        cpu.level(4)
    assert cpu.level() == best
    for other in images[1:]:
        assert ((other - images[0]).norm() / images[0].norm()).item() < 1e-12


@pytest.mark.parametrize("changes", [{}, ONE_TERM, BARE])
def test_a_gradient_may_come_in_any_layout(make_scene, changes):
    tracked, leaves = leaves_of(make_scene(**changes))
    total = pixel_sum(tracked, range(320)).total
    weights = torch.linspace(0.5, 2.0, 640, dtype=torch.float64)[::2]
    for weight in (weights, torch.ones(1, dtype=torch.float64).expand(320)):
        strided, packed = (
            torch.autograd.grad(total, leaves["A"], w, retain_graph=True)[0] for w in (weight, weight.contiguous())
        )
        assert torch.equal(strided, packed)


@pytest.mark.parametrize("changes", [BARE, {**BARE, "polarization_factor": torch.zeros((), dtype=torch.float64)}])
def test_a_pixel_of_one_term_does_not_depend_on_its_company(make_scene, changes):
    scene = make_scene(**changes)
    for dtype in (torch.float64, torch.float32):
        whole = pixel_sum(scene, range(320), dtype=dtype)
        parts = [
            pixel_sum(scene, torch.arange(start, min(start + 37, 320)), dtype=dtype) for start in range(0, 320, 37)
        ]
        assert torch.equal(torch.cat([part.total for part in parts]), whole.total)
        with_angle = pixel_sum(scene, range(320), dtype=dtype, want_solid_angle=True).total
        assert torch.equal(with_angle, whole.total)


def test_other_backends_are_declined(make_scene):
    assert "reference" in why_not(make_scene(), backend="reference")
    with pytest.raises(BackendUnavailable, match="plain path"):
        pixel_sum(make_scene(), PIXELS, backend="reference")
