"""Plots in the style of scanpy, with matplotlib; each returns its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd

from ._errors import FormatError, MissingKeyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["composition", "samples", "umap", "uncertainty"]

#: Colours of Okabe and Ito, which are distinct with any colour vision.
_palette = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
_missing = "#D3D3D3"


def _axes(ax: Axes | None, width: float = 5, height: float = 4) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _column(adata: ad.AnnData, key: str) -> pd.Series:
    if key in adata.obs:
        return adata.obs[key]
    if key in adata.var_names:
        values = adata[:, key].X
        values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        return pd.Series(values.ravel(), index=adata.obs_names)
    raise MissingKeyError(f"'{key}' is neither a column of adata.obs nor a gene.")


def _colours(adata: ad.AnnData, key: str, names: Sequence[str]) -> dict[str, Any]:
    """Colours of categories: from uns, as stored by scanpy, or from the palette."""
    given = adata.uns.get(f"{key}_colors")
    if given is not None and len(given) >= len(names):
        return dict(zip(names, given, strict=False))
    if len(names) <= len(_palette):
        return dict(zip(names, _palette, strict=False))
    import matplotlib

    shades = matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, len(names)))
    return dict(zip(names, shades, strict=True))


def _scatter(
    ax: Axes, adata: ad.AnnData, positions: np.ndarray, color: str | None, size: float | None
) -> None:
    area = size if size is not None else min(30.0, 120_000 / max(1, len(positions)))
    style: dict[str, Any] = {"s": area, "linewidths": 0, "rasterized": len(positions) > 10_000}
    if color is None:
        ax.scatter(positions[:, 0], positions[:, 1], c=_palette[0], **style)
        return
    values = _column(adata, color)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        order = np.argsort(values.to_numpy(dtype=float), kind="stable")
        points = ax.scatter(
            positions[order, 0],
            positions[order, 1],
            c=values.to_numpy(dtype=float)[order],
            cmap="viridis",
            **style,
        )
        ax.figure.colorbar(points, ax=ax, label=color)
        return
    kinds = values.astype("category").cat.remove_unused_categories()
    names = [str(name) for name in kinds.cat.categories]
    colours = _colours(adata, color, names)
    codes = kinds.cat.codes.to_numpy()
    if (codes < 0).any():
        ax.scatter(*positions[codes < 0].T, color=_missing, label="none", **style)
    for code, name in enumerate(names):
        ax.scatter(*positions[codes == code].T, color=colours[name], label=name, **style)
    columns = 1 + (len(names) - 1) // 20
    legend = ax.legend(title=color, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=columns)
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]


def umap(
    adata: ad.AnnData,
    color: str | None = None,
    *,
    basis: str | None = None,
    size: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw cells in the reference's UMAP.

    Parameters
    ----------
    adata
        Cells annotated by `map` or `embed`.
    color
        Column of obs, or a gene.
    basis
        Key of obsm. Default: ``X_umap_scpoli``, else ``X_umap``.
    size
        Area of a point.
    ax
        Axes to draw into.
    """
    keys = [basis] if basis is not None else ["X_umap_scpoli", "X_umap"]
    key = next((key for key in keys if key in adata.obsm), None)
    if key is None:
        raise MissingKeyError(
            f"adata.obsm has no {' and no '.join(keys)} (it has: {', '.join(adata.obsm) or 'nothing'}). "
            "Map the cells with a model that carries a UMAP, or choose another key with basis."
        )
    ax = _axes(ax)
    _scatter(ax, adata, np.asarray(adata.obsm[key])[:, :2], color, size)
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    return ax


def samples(
    samples: ad.AnnData,
    color: str | None = None,
    *,
    components: tuple[int, int] = (1, 2),
    names: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw samples by the principal components of their embedding.

    Parameters
    ----------
    samples
        Result of :meth:`Model.samples`.
    color
        Column of its obs.
    components
        Numbers of the two components, from 1.
    names
        Write the names of the samples.
    ax
        Axes to draw into.
    """
    if "X_pca" not in samples.obsm or samples.obsm["X_pca"].shape[1] < max(components):
        raise FormatError(f"samples.obsm['X_pca'] does not have the components {components}.")
    ax = _axes(ax)
    chosen = [component - 1 for component in components]
    positions = np.asarray(samples.obsm["X_pca"])[:, chosen]
    _scatter(ax, samples, positions, color, 40)
    if names:
        for name, position in zip(samples.obs_names, positions, strict=True):
            ax.annotate(name, position, xytext=(3, 3), textcoords="offset points", fontsize="x-small")
    shares = np.asarray(samples.uns["pca"]["variance_ratio"])[chosen]
    ax.set(
        xlabel=f"PC {components[0]} ({shares[0]:.0%} of variance)",
        ylabel=f"PC {components[1]} ({shares[1]:.0%} of variance)",
    )
    return ax


def _level(adata: ad.AnnData, key: str | None) -> str:
    levels = [column.removesuffix("_pred") for column in adata.obs if str(column).endswith("_pred")]
    if key is not None and f"{key}_pred" in adata.obs:
        return key
    if key is not None or not levels:
        known = ", ".join(repr(level) for level in levels) or "none"
        raise MissingKeyError(f"adata.obs has no predictions of '{key or 'any level'}' (levels: {known}).")
    return levels[0]


def uncertainty(adata: ad.AnnData, key: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the uncertainty of each predicted cell type as a box plot, the least certain last.

    Parameters
    ----------
    adata
        Cells annotated by `map` or `embed`.
    key
        Annotation level. Default: the first that has predictions.
    ax
        Axes to draw into.
    """
    level = _level(adata, key)
    kinds = adata.obs[f"{level}_pred"].astype("category").cat.remove_unused_categories()
    values = adata.obs[f"{level}_uncert"].groupby(kinds, observed=True)
    order = list(values.median().sort_values(kind="stable").index)
    ax = _axes(ax, 5, 1 + 0.3 * len(order))
    groups = [values.get_group(name).to_numpy() for name in order]
    ax.boxplot(groups, orientation="horizontal", showfliers=False) if _has_orientation() else ax.boxplot(
        groups, vert=False, showfliers=False
    )
    ax.set_yticks(
        range(1, len(order) + 1), [f"{name} ({len(g):,})" for name, g in zip(order, groups, strict=True)]
    )
    ax.set(xlabel=f"{level}_uncert", xlim=(0, 1))
    return ax


def _has_orientation() -> bool:
    import matplotlib
    from packaging.version import Version

    return Version(matplotlib.__version__) >= Version("3.10")


def composition(
    adata: ad.AnnData, groupby: str, key: str | None = None, *, unknown: bool = True, ax: Axes | None = None
) -> Axes:
    """Draw the shares of the predicted cell types in each sample.

    Parameters
    ----------
    adata
        Cells annotated by `map` or `embed`.
    groupby
        Column of obs of the samples.
    key
        Annotation level. Default: the first that has predictions.
    unknown
        Show unknown cells as a separate type.
    ax
        Axes to draw into.
    """
    level = _level(adata, key)
    if groupby not in adata.obs:
        raise MissingKeyError(f"adata.obs has no column '{groupby}'.")
    column = f"{level}_pred"
    kinds = adata.obs[column].astype("category")
    colours: Mapping[str, Any] = _colours(adata, column, [str(name) for name in kinds.cat.categories])
    types = kinds.astype(str)
    if unknown and f"{level}_unknown" in adata.obs:
        types = types.where(~adata.obs[f"{level}_unknown"].astype(bool), "unknown")
    shares = pd.crosstab(adata.obs[groupby].astype(str), types, normalize="index")
    ax = _axes(ax, 6, 1 + 0.3 * len(shares))
    left = np.zeros(len(shares))
    for name in shares.columns:
        width = shares[name].to_numpy()
        ax.barh(shares.index, width, left=left, color=colours.get(name, _missing), label=name)
        left += width
    ax.set(xlabel="share of cells", ylabel=groupby, xlim=(0, 1))
    ax.invert_yaxis()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax
