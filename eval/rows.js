// What the page holds of a clip: its rows, by id and by frame, and the table that is made of them.
// Frames and ids count from 1 here, as on the page.
const clip = JSON.parse(document.querySelector("#clip").textContent);

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** Integers in columns, of `packed` in Python: differences of 32 bits, bytes of one weight together, zlib, base64. */
async function unpack(text, columns) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = planes.length / columns / 4;
  return Array.from({ length: columns }, (_, column) => {
    const at = (weight, i) => planes[(4 * column + weight) * length + i] << (8 * weight);
    let sum = 0;
    return Float64Array.from({ length }, (_, i) => (sum += at(0, i) | at(1, i) | at(2, i) | at(3, i)));
  });
}

const [numbers, micros] = await unpack(clip.clock, 2);
const [ids, frames, xs, ys, ws, hs, scores, marks] = await unpack(clip.rows, 8);  // by id, and then by frame
const seconds = new Map(Array.from(numbers, (number, i) => [number, micros[i] / 1e6]));
const shots = numbers.filter((_, i) => i % clip.step === 0).slice(0, clip.shots);  // frames that the video shows
const span = new Map();  // of each id: its first row, and the one after its last
const rowsAt = new Map();  // of each frame, in the order of ids
for (let row = 0; row < ids.length; row++) {
  if (!span.has(ids[row])) span.set(ids[row], [row, row]);
  span.get(ids[row])[1] = row + 1;
  if (!rowsAt.has(frames[row])) rowsAt.set(frames[row], []);
  rowsAt.get(frames[row]).push(row);
}
const centre = (row) => [(xs[row] + ws[row] / 2) / 100, (ys[row] + hs[row] / 2) / 100];
const apart = (row, other) => Math.hypot(...centre(row).map((value, axis) => value - centre(other)[axis]));

const decimal = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));
const short = (value) => (Number.isFinite(value) ? String(+value.toPrecision(6)) : "");

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The table that `sqair track --format csv` writes. */
function table() {
  const name = quoted(clip.name);
  const lines = [clip.columns.join(",")], gone = new Map();
  for (const [number, rows] of [...rowsAt].sort(([one], [other]) => one - other)) {
    for (const row of rows) {
      const middles = [[xs, ws, 1], [ys, hs, 3]].map(([at, long, bit]) =>
        Math.floor(at[row] + long[row] / 2) + ((marks[row] >> bit) & 3) - 1);
      const sides = [xs[row], ys[row], ws[row], hs[row], ...middles].map((value) => decimal(value / 100));
      const told = [name, number, decimal(seconds.get(number)), ids[row], ...sides];
      told.push(decimal(scores[row] / 1e4), marks[row] & 1);
      if (clip.scale) {
        const first = row === span.get(ids[row])[0], far = first ? NaN : clip.scale[0] * apart(row, row - 1);
        gone.set(ids[row], first ? 0 : gone.get(ids[row]) + far);
        told.push(...[far, gone.get(ids[row]), far / (seconds.get(number) - seconds.get(frames[row - 1]))].map(short));
      }
      if (clip.homes) told.push(quoted(clip.homes[ids[row]]));
      lines.push(told.join(","));
    }
  }
  return lines.join("\n") + "\n";
}
