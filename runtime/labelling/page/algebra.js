/** The little linear algebra that the learner needs; matrices are row by row in Float64Array. */

/**
 * Return log(1 + exp(v)) without overflow.
 * @param {number} v
 * @returns {number}
 */
function softplus(v) {
  return v > 0 ? v + Math.log1p(Math.exp(-v)) : Math.log1p(Math.exp(v));
}

/**
 * Return the probability of a logit.
 * @param {number} v
 * @returns {number}
 */
function logistic(v) {
  return Math.exp(-softplus(-v));
}

/**
 * Return the product of some numbers of two arrays.
 * @param {ArrayLike<number>} a
 * @param {number} i where it begins in a
 * @param {ArrayLike<number>} b
 * @param {number} j where it begins in b
 * @param {number} n
 * @returns {number}
 */
function dot(a, i, b, j, n) {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += a[i + k] * b[j + k];
  return sum;
}

/**
 * Solve A x = b for a symmetric positive definite matrix by Cholesky; A is overwritten.
 * @param {Float64Array} a (n, n), of which the lower triangle is read
 * @param {Float64Array} b (n,)
 * @returns {Float64Array} (n,)
 */
function solvePositive(a, b) {
  const n = b.length;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = a[i * n + j] - dot(a, i * n, a, j * n, j);
      a[i * n + j] = i === j ? Math.sqrt(rest) : rest / a[j * n + j];
    }
  }
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) x[i] = (x[i] - dot(a, i * n, x, 0, i)) / a[i * n + i];
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= a[k * n + i] * x[k];
    x[i] /= a[i * n + i];
  }
  return x;
}

/**
 * Find orthonormal axes of the space that rows span, by Gram and Schmidt's method, twice.
 * @param {Float64Array} rows (n, width)
 * @param {number} n
 * @param {number} width
 * @returns {{axes: Float64Array, places: Float64Array, rank: number}} axes (rank, width), and
 *   places (n, rank) such that places @ axes are the rows
 */
function findAxes(rows, n, width) {
  const axes = [];
  for (let i = 0; i < n; i++) {
    const axis = rows.slice(i * width, (i + 1) * width);
    const length = Math.sqrt(dot(axis, 0, axis, 0, width));
    for (const other of [...axes, ...axes]) {
      const part = dot(axis, 0, other, 0, width);
      for (let k = 0; k < width; k++) axis[k] -= part * other[k];
    }
    const rest = Math.sqrt(dot(axis, 0, axis, 0, width));
    if (rest > 1e-10 * length) axes.push(axis.map((v) => v / rest)); // else it depends on others
  }
  const rank = axes.length;
  const places = new Float64Array(n * rank);
  const flat = new Float64Array(rank * width);
  axes.forEach((axis, j) => {
    flat.set(axis, j * width);
    for (let i = 0; i < n; i++) places[i * rank + j] = dot(rows, i * width, axis, 0, width);
  });
  return { axes: flat, places, rank };
}
