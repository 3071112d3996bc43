/**
 * Labels kept by the browser, so that a closed tab or a killed browser loses none.
 *
 * localStorage is written at once but reaches the disk some seconds later: a killed Chromium lost
 * what was younger than a second. A strict transaction of IndexedDB is on the disk when it ends,
 * but a tab may be closed before. So both are written, and the newer one is read.
 */

const DATABASE = "cfzoo-labels";
const TABLE = "states";

/** The two copies of one page's labels. */
class Store {
  /** @param {string} digest of the page's candidates */
  constructor(digest) {
    this.key = `cfzoo.labels.${digest}`;
    this.database = null; // once it is open
    this.works = false; // whether one of the copies was written or read without an error
    this.pending = Promise.resolve();
  }

  /**
   * Open the stores and return the newer copy.
   * @returns {Promise<object|null>} a state; see `History.save`
   */
  async open() {
    const copies = [null];
    try {
      localStorage.setItem(`${this.key}.test`, "1");
      localStorage.removeItem(`${this.key}.test`);
      this.works = true;
      copies.push(parseState(localStorage.getItem(this.key)));
    } catch {} // it is forbidden or full
    try {
      this.database = await openDatabase();
      const table = this.database.transaction(TABLE).objectStore(TABLE);
      copies.push(await promise(table.get(this.key)));
      this.works = true;
    } catch {} // it is forbidden, as in some private windows
    const revision = (copy) => (copy && Number.isSafeInteger(copy.revision) ? copy.revision : -1);
    return copies.reduce((best, copy) => (revision(copy) > revision(best) ? copy : best), null);
  }

  /**
   * Write a state to both stores.
   * @param {object} state see `History.save`
   * @returns {Promise<boolean>} whether it is on the disk, or at least in localStorage
   */
  async save(state) {
    let isSaved = false;
    try {
      localStorage.setItem(this.key, JSON.stringify(state));
      isSaved = true;
    } catch {} // full or forbidden
    if (this.database) {
      try {
        const mode = { durability: "strict" };
        const transaction = this.database.transaction(TABLE, "readwrite", mode);
        transaction.objectStore(TABLE).put(state, this.key);
        this.pending = new Promise((resolve, reject) => {
          transaction.oncomplete = resolve;
          transaction.onabort = () => reject(transaction.error);
        });
        await this.pending;
        isSaved = true;
      } catch {} // full
    }
    this.works = isSaved;
    return isSaved;
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  return promise(request);
}

/**
 * @param {IDBRequest} request
 * @returns {Promise<any>} its result
 */
function promise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
