/** Begin, and give the page to those who test it. */

window.labelPage = new LabelPage(document);
window.labelPage.ready = window.labelPage.start();
