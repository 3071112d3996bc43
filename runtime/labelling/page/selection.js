function suggest(page, history, lesson) {
  const types = history.types();
  let [best, value] = [null, Infinity];
  lesson.margins.forEach((m, row) => { if (!types.has(row) && Math.abs(m) < value) [best, value] = [row, Math.abs(m)]; });
  return best;
}
