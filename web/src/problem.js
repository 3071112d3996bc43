/** A fault of a file that the page has found itself, in words for its user. */
export class Problem extends Error {}
