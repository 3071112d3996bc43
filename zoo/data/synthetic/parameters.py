"""Parameters of a synthetic volume, drawn wide, so that no stain of a lab lies outside."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VolumeParameters:
    """What a synthetic volume shows, and how it was taken. Brightness is relative to the tissue's.

    Attributes
    ----------
    voxel_size : tuple of float
        z, y, x, um.
    radius, radius_spread : float
        Median radius of the somata, um, and the standard deviation of its logarithm.
    elongation, roughness, softness : float
        Standard deviation of the logarithm of a soma's half axes, and of its outline; width of
        the outline over the radius.
    ring_share, ring_depth : float
        Share of somata with a dark nucleus, and how dark it is, 0 to 1.
    contrast, contrast_spread : float
        Median brightness of the somata, and the standard deviation of its logarithm.
    density : float
        Somata per mm3, outside dense layers.
    branched_share : float
        Share of somata with processes.
    stems, process_length, process_radius, process_brightness : int, float, float, float
        Processes of a soma; their length and radius, um; their brightness over the soma's.
    fibres : float
        Processes without a soma, per mm3.
    layers : tuple of float
        Factors of the density in the slabs from one side of the tissue to the other.
    layer_brightness : tuple of float
        Brightness of the tissue in them.
    texture : tuple of float
        Amplitudes of the noise in the tissue at 60, 20, 7 and 3 um.
    web : float
        Share of the noise at 7 um that forms a web rather than clouds, 0 to 1.
    vessels, vessel_wall, vessel_lumen : float
        Vessels per mm3; brightness of their walls; how dark they are inside, 1 at
        most; below 0 they are bright.
    debris, debris_brightness : float
        Points, rods and flakes for each soma; their brightness over the somata's.
    empty_share : float
        Share of the volume beyond the edge of the tissue.
    rim : float
        Brightness of the edge of the tissue.
    psf : tuple of float
        Standard deviations of the point spread function, z y x, um.
    halo, halo_width : float
        Share of the light that is scattered near by, and its standard deviation, um.
    haze : float
        Share of the rest that is spread over 25 to 60 um.
    ghosts : float
        Brightness of the copy beside a soma; 0 for none.
    stripes, stripe_width : float
        Amplitude of the shadows of a light sheet and their width, um.
    seam : float
        Standard deviation of the logarithm of the gain of the tiles; 0 for one tile.
    fading : float
        Loss of light from the first plane to the last, as an exponent.
    level, offset : float
        Intensity of the tissue and of the camera without light.
    shot, read : float
        Variance of the shot noise over the intensity; standard deviation of the read noise.
    saturation : float
        Largest intensity.
    detection_sigma, detection_z : float
        Smoothing of the detector over the median radius; its threshold, in local deviations.
    """

    voxel_size: tuple[float, float, float]
    radius: float
    radius_spread: float
    elongation: float
    roughness: float
    softness: float
    ring_share: float
    ring_depth: float
    contrast: float
    contrast_spread: float
    density: float
    branched_share: float
    stems: int
    process_length: float
    process_radius: float
    process_brightness: float
    fibres: float
    layers: tuple[float, ...]
    layer_brightness: tuple[float, ...]
    texture: tuple[float, float, float, float]
    web: float
    vessels: float
    vessel_wall: float
    vessel_lumen: float
    debris: float
    debris_brightness: float
    empty_share: float
    rim: float
    psf: tuple[float, float, float]
    halo: float
    halo_width: float
    haze: float
    ghosts: float
    stripes: float
    stripe_width: float
    seam: float
    fading: float
    level: float
    offset: float
    shot: float
    read: float
    saturation: float
    detection_sigma: float
    detection_z: float


def draw_parameters(rng: np.random.Generator) -> VolumeParameters:
    """Draw the parameters of one volume.

    A third of the volumes show nuclei, a third whole cells and a third glia with processes; all
    other parameters are drawn without regard to that.

    Parameters
    ----------
    rng : numpy.random.Generator
    """

    def some(share: float, low: float, high: float) -> float:
        """Draw a value in a share of the volumes; 0 in the others."""
        value = log_uniform(rng, low, high)
        return value if rng.random() < share else 0.0

    stain = int(rng.integers(3))  # nuclei, whole cells, glia
    lateral = log_uniform(rng, 0.6, 4)
    axial = log_uniform(rng, max(2, 0.8 * lateral), 10)
    low, high = ((2.5, 7), (4.5, 12), (3, 8))[stain]
    # A soma thinner than the planes or pixels would be seen by chance only.
    radius = max(log_uniform(rng, low, high), 1.1 * lateral, 0.5 * axial)
    blur = log_uniform(rng, 0.6, 2.8)
    layers = rng.integers(1, 5)
    level = log_uniform(rng, 60, 4000)
    texture = (
        rng.uniform(0.02, 0.2),
        log_uniform(rng, 0.01, 0.15),
        log_uniform(rng, 0.015, 0.22),
        log_uniform(rng, 0.01, 0.25),
    )
    psf = (blur * rng.uniform(1, 3), blur, blur)
    halo, haze = some(0.7, 0.05, 0.6), rng.uniform(0, 0.5)
    # Somata that blur and texture hide would leave no cell to learn from.
    share_left = math.prod(1 / math.hypot(1, 1.4 * sigma / radius) for sigma in psf)
    share_left *= (1 - halo) * (1 - haze)
    faintest = max((0.3, 0.4, 0.8)[stain], (3 * texture[2] + 1.5 * texture[3] + 0.1) / share_left)
    brightest = max((9, 9, 20)[stain], 2 * faintest)
    return VolumeParameters(
        voxel_size=(round(axial, 2), round(lateral, 2), round(lateral, 2)),
        radius=radius,
        radius_spread=rng.uniform(0.05, 0.25),
        elongation=rng.uniform(0.05, (0.2, 0.3, 0.45)[stain]),
        roughness=rng.uniform(0, (0.08, 0.12, 0.25)[stain]),
        softness=rng.uniform(0.08, 0.35),
        ring_share=(0.0, float(rng.choice([0, 0.5, 1])), 0.0)[stain],
        ring_depth=rng.uniform(0.4, 1),
        contrast=log_uniform(rng, faintest, brightest),
        contrast_spread=rng.uniform(0.2, 0.75),
        density=log_uniform(rng, 700, (16000, 9000, 5000)[stain]),
        branched_share=(0.0, float(rng.choice([0, 0.4, 0.9])), 0.95)[stain],
        stems=int(rng.integers((1, 1, 5)[stain], (3, 6, 13)[stain])),
        process_length=log_uniform(rng, 12, (20, 90, 45)[stain]),
        process_radius=radius * rng.uniform(0.1, 0.28),
        process_brightness=rng.uniform(0.3, 1.3),
        fibres=some(0.5, 100, 4000),
        layers=tuple(np.exp(rng.normal(0, 0.9, layers)).tolist()),
        layer_brightness=tuple(np.exp(rng.normal(0, some(0.6, 0.03, 0.4), layers)).tolist()),
        texture=texture,
        web=some(0.5, 0.2, 1),
        vessels=some(0.75, 20, 400),
        vessel_wall=some(0.6, 0.1, 3),
        vessel_lumen=rng.uniform(0.1, 0.9) if rng.random() < 0.75 else -log_uniform(rng, 0.3, 4),
        debris=some(0.95, 0.25, 2),
        debris_brightness=log_uniform(rng, 0.4, 1.5),
        empty_share=rng.uniform(0.1, 0.55) if rng.random() < 0.35 else 0.0,
        rim=some(0.5, 0.2, 2),
        psf=psf,
        halo=halo,
        halo_width=log_uniform(rng, 4, 12),
        haze=haze,
        ghosts=some(0.2, 0.08, 0.4),
        stripes=some(0.5, 0.02, 0.25),
        stripe_width=log_uniform(rng, 5, 25),
        seam=some(0.25, 0.03, 0.2),
        fading=some(0.5, 0.1, 1.2),
        level=level,
        offset=rng.uniform(0, 400),
        shot=log_uniform(rng, 0.02, 2),
        read=log_uniform(rng, 1, 0.05 * level),
        saturation=float(int(min(65535, level * log_uniform(rng, 8, 400)))),
        detection_sigma=rng.uniform(0.35, 0.65),
        detection_z=rng.uniform(1.0, 2.5),
    )


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between those of ``low`` and ``high``."""
    return math.exp(rng.uniform(math.log(low), math.log(max(low, high))))
