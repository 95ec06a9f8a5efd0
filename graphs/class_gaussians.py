"""Densities of classes over node features: a Gaussian per class, with one covariance."""

from typing import NamedTuple, TypedDict

import torch
from torch import Tensor, nn

from graphs.precision import at_least_float32, to_float64
from graphs.validation import check_int, check_int_vector, check_nodes, describe


class ClassSums(NamedTuple):
    """Sums over labeled nodes, in float64 on the CPU; what densities are computed from."""

    nodes: Tensor  # n (C,), number of nodes of each class
    total: Tensor  # s (C, D), sum of their features
    second: Tensor  # S (D, D), sum of outer products of all features

    def plus(self, other: "ClassSums", factor: float = 1.0) -> "ClassSums":
        """Return these sums plus `factor` times others.

        Args:
            other: sums over other nodes.
            factor: 1 adds the nodes, -1 removes them.
        """
        return ClassSums(*(a + factor * b for a, b in zip(self, other, strict=True)))


class GaussiansState(TypedDict):
    """Plain containers that hold the state of `ClassGaussians` in a state dict."""

    sums: tuple[Tensor, ...]
    images: dict[int, tuple[Tensor, ...]]
    shrinkage: float


class Discriminant(NamedTuple):
    """Linear functions of the features, one per class: :math:`e_c = w_c^T (x - m) + b_c`."""

    weight: Tensor  # w (C, D)
    bias: Tensor  # b (C,)
    mean: Tensor  # m (D,)


class ClassGaussians(nn.Module):
    r"""Gaussian density of each class over node features, with one covariance for all.

    Linear discriminant analysis (Fisher, 1936), with a covariance that is shrunk towards a multiple
    of the identity (Ledoit and Wolf, 2004). Over features of a frozen encoder a few labeled images
    suffice, as for the features of CLIP (Wang et al., ICLR 2024). With soft labels :math:`Y_{ic}`
    of nodes i and :math:`t_i = \sum_c Y_{ic}`:

    .. math::
        n_c = \sum_i Y_{ic}, \quad \mu_c = \frac{1}{n_c} \sum_i Y_{ic} x_i, \quad
        n = \sum_c n_c, \quad m = \sum_c \frac{n_c}{n} \mu_c

        \Sigma = \frac{1}{n} \sum_i t_i x_i x_i^\top - m m^\top
        - \sum_c \frac{n_c}{n} (\mu_c - m)(\mu_c - m)^\top, \qquad
        \Sigma' = (1 - g)\, \Sigma + g\, \frac{\mathrm{tr}\, \Sigma}{D} I

        e_{ic} = (\mu_c - m)^\top \Sigma'^{-1} \Big(x_i - \frac{m + \mu_c}{2}\Big)

    e is the log density of class c at node i, up to a term that all classes share. It is linear in
    the features, so it can be exported as a convolution of 1 x 1. Classes without nodes receive the
    mean of the others.

    Everything is a sum over nodes. So nodes are added part by part, and sums of several processes
    are merged. The sums of each image are kept, 8 D (D + C) bytes, so that densities for that image
    can leave it out exactly.

    It assumes that classes are of one blob each and of the same shape. It fails where a class has
    several distant blobs, or differs from another in its spread alone.

    Args:
        num_classes: C, from 2 to 255.
        feature_dim: D.

    Raises:
        ValueError: if a size is out of range.

    >>> x = torch.tensor([[0.0, 0.0], [0.2, 1.0], [2.0, 0.0], [2.2, 1.0]])
    >>> y = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1]))
    >>> gaussians = ClassGaussians(num_classes=2, feature_dim=2)
    >>> gaussians.add(x, y)
    >>> gaussians.solve(shrinkage=0.3)
    >>> gaussians.evidence(torch.tensor([[0.1, 5.0], [2.1, -5.0]])).argmax(1)
    tensor([0, 1])
    """

    def __init__(self, num_classes: int, feature_dim: int) -> None:
        super().__init__()
        check_int(2, num_classes=num_classes)
        check_int(1, feature_dim=feature_dim)
        if num_classes > 255:
            raise ValueError(f"expected num_classes of 255 at most, got {num_classes}")
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.clear()

    def extra_repr(self) -> str:
        return f"{self.num_classes} classes, D={self.feature_dim}, {len(self.images)} images"

    def clear(self) -> None:
        """Remove all nodes."""
        self.sums = self._zeros()
        self.shrinkage = 0.3
        self._parts: dict[int, ClassSums] = {}
        self._solved: dict[int | None, Discriminant] = {}

    @property
    def count(self) -> Tensor:
        """Nodes of each class `(C,)`, in float64; soft labels count as much as they are."""
        return self.sums.nodes

    def count_others(self, image: int) -> Tensor:
        """Count the nodes of each class in all images but one.

        Args:
            image: its number.

        Returns:
            `(C,)`, in float64.
        """
        part = self._parts.get(image)
        if part is None:
            return self.count
        return (self.count - part.nodes).where(self.count - part.nodes > 1e-9 * self.count.sum(), 0)

    @property
    def images(self) -> tuple[int, ...]:
        """Numbers of the images whose sums are kept."""
        return tuple(self._parts)

    @property
    def log_prior(self) -> Tensor:
        """Log share of each class `(C,)` in all nodes, as if each had one node more."""
        count = self.count + 1
        return (count / count.sum()).log()

    @torch.no_grad()
    def add(self, x: Tensor, label: Tensor, image: int = -1) -> None:
        """Add labeled nodes.

        Args:
            x: features `(N, D)`, finite.
            label: soft labels Y `(N, C)`, not negative, such as one-hot ones; a row of zeros for
                void. Rows weigh as much as they sum to.
            image: number of the nodes' image, whose sums are then kept; -1 to keep none. Nodes are
                added to those that an image has already.

        Raises:
            ValueError: if shapes do not match, or a number is not finite or negative.
        """
        self._check(x)
        if not isinstance(label, Tensor) or label.shape != (len(x), self.num_classes):
            raise ValueError(
                f"expected soft labels ({len(x)}, {self.num_classes}), got {describe(label)}; "
                "torch.nn.functional.one_hot makes them of class numbers"
            )
        if not torch.isfinite(label).all() or (label < 0).any():
            raise ValueError("expected finite soft labels of 0 or more")
        self._add(_sums(x, label), image)

    def merge(self, other: "ClassGaussians") -> None:
        """Add the nodes of other densities, such as those of another process.

        Args:
            other: of the same classes and features.

        Raises:
            ValueError: if classes or features differ.
        """
        if (other.num_classes, other.feature_dim) != (self.num_classes, self.feature_dim):
            raise ValueError(
                f"expected densities of {self.num_classes} classes over {self.feature_dim} "
                f"features, got {other.num_classes} and {other.feature_dim}"
            )
        rest = other.sums
        for image, part in other._parts.items():
            rest = rest.plus(part, -1.0)
            self._add(part, image)
        self._add(rest, -1)

    def forget(self, image: int) -> None:
        """Remove the nodes of an image, if it has any.

        Args:
            image: its number.
        """
        part = self._parts.pop(image, None)
        if part is not None:
            self.sums = self.sums.plus(part, -1.0)
            self._solved.clear()

    def release_images(self) -> None:
        """Keep all nodes, but not which image they are of: saves memory and space in files."""
        self._parts.clear()
        self._solved.clear()

    def solve(self, shrinkage: float = 0.3) -> None:
        """Set the shrinkage of the covariance, and check that densities can be computed.

        Args:
            shrinkage: g, in [0, 1]; 1 compares distances to the means alone.

        Raises:
            ValueError: if it is out of range, there are no labeled nodes, or the covariance is
                singular.
        """
        if not isinstance(shrinkage, (int, float)) or not 0 <= shrinkage <= 1:
            raise ValueError(f"expected shrinkage in [0, 1], got {shrinkage!r}")
        self._solved.clear()
        self.shrinkage = float(shrinkage)
        self.discriminant()

    @torch.no_grad()
    def evidence(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        """Compute the log density e of each class at each node, up to what all classes share.

        Args:
            x: features `(N, D)`, finite.
            image: number of each node's image `(N,)`, whose own nodes are subtracted, so that
                labeled images can be treated like unlabeled ones; -1 for other images.

        Returns:
            e `(N, C)`, on the device of `x`, in float32, or in float64 for float64 features.

        Raises:
            ValueError: if shapes do not match, a number is not finite, there are no labeled nodes
                (of other images), or the covariance is singular.
        """
        self._check(x)
        if image is None:
            return self._apply_to(x, self.discriminant())
        image = check_int_vector("image", image, len(x), "one per node")
        e = at_least_float32(x.new_empty(len(x), self.num_classes))
        for number in image.unique().tolist():
            of_image = image == number
            e[of_image] = self._apply_to(x[of_image], self.discriminant(number))
        return e

    def discriminant(self, image: int | None = None) -> Discriminant:
        """Compute the linear functions that `evidence` applies.

        Args:
            image: number of an image whose nodes are subtracted first.

        Returns:
            Weights, biases and the mean of all features, in float64 on the CPU.

        Raises:
            ValueError: if there are no labeled nodes, or the covariance is singular.
        """
        image = image if image in self._parts else None
        if image not in self._solved:
            sums = self.sums
            if image is not None:
                sums = sums.plus(self._parts[image], -1.0)
            self._solved[image] = _discriminant(sums, self.shrinkage)
        return self._solved[image]

    def get_extra_state(self) -> "GaussiansState":
        """Return sums and shrinkage for `state_dict`; the precision of a module is not theirs."""
        images = {number: tuple(part) for number, part in self._parts.items()}
        return {"sums": tuple(self.sums), "images": images, "shrinkage": self.shrinkage}

    def set_extra_state(self, state: "GaussiansState") -> None:
        """Set what `get_extra_state` returned.

        Args:
            state: of densities of the same classes and features.

        Raises:
            RuntimeError: if sizes differ, as torch's own.
        """
        parts = {int(number): ClassSums(*part) for number, part in state["images"].items()}
        sums = ClassSums(*state["sums"])
        for part in (sums, *parts.values()):
            if part.total.shape != self.sums.total.shape:
                raise RuntimeError(
                    f"size mismatch for ClassGaussians: expected sums of "
                    f"{tuple(self.sums.total.shape)}, got {tuple(part.total.shape)}"
                )
        self.clear()
        self.sums, self._parts, self.shrinkage = sums, parts, float(state["shrinkage"])

    def _zeros(self) -> ClassSums:
        c, d = self.num_classes, self.feature_dim
        zeros = (torch.zeros(shape, dtype=torch.float64) for shape in ((c,), (c, d), (d, d)))
        return ClassSums(*zeros)

    def _add(self, sums: ClassSums, image: int) -> None:
        self.sums = self.sums.plus(sums)
        if image >= 0:
            self._parts[image] = self._parts.get(image, self._zeros()).plus(sums)
        self._solved.clear()

    def _check(self, x: Tensor) -> None:
        check_nodes(x)
        if x.size(1) != self.feature_dim:
            raise ValueError(f"expected features (N, {self.feature_dim}), got {tuple(x.shape)}")

    @staticmethod
    def _apply_to(x: Tensor, discriminant: Discriminant) -> Tensor:
        x = at_least_float32(x)
        weight, bias, mean = (part.to(x) for part in discriminant)
        with torch.autocast(x.device.type, enabled=False):
            return (x - mean) @ weight.T + bias


def _sums(x: Tensor, label: Tensor) -> ClassSums:
    x, y = to_float64(x), to_float64(label.to(x.device))
    y = y.to(x)
    second = x.T @ (x * y.sum(1, keepdim=True))
    return ClassSums(*(part.cpu().double() for part in (y.sum(0), y.T @ x, second)))


def _discriminant(sums: ClassSums, shrinkage: float) -> Discriminant:
    n = sums.nodes.sum()
    has_nodes = sums.nodes > 1e-9 * n.clamp(min=1)  # subtraction leaves rounding errors
    if not has_nodes.any():
        raise ValueError("expected labeled nodes (of other images), got none; call add first")
    size = sums.total.size(1)
    mean = sums.total.sum(0) / n
    away = sums.total / sums.nodes[:, None] - mean
    away = torch.where(has_nodes[:, None], away, 0.0)  # mu_c - m
    share = torch.where(has_nodes, sums.nodes / n, 0.0)
    covariance = sums.second / n - mean.outer(mean) - away.T @ (share[:, None] * away)
    spread = covariance.trace() / size
    covariance = (1 - shrinkage) * covariance
    covariance.diagonal().add_(shrinkage * spread)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    varies = spread * size > 1e-12 * sums.second.trace() / n
    if failed or not varies or not factor.diagonal().min().square() > 1e-12 * spread:
        raise ValueError(
            f"the covariance of the features is singular with shrinkage={shrinkage:g}: expected a "
            "larger shrinkage, more labeled nodes, or features that vary within classes"
        )
    weight = torch.cholesky_solve(away.T, factor).T
    bias = -(weight * away).sum(1) / 2
    weight[~has_nodes], bias[~has_nodes] = weight[has_nodes].mean(0), bias[has_nodes].mean()
    return Discriminant(weight, bias, mean)
