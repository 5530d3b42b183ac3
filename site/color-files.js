// A note in the metadata of a PNG or JPEG file, so that invented colors are known as such.

const PNG_SIGNATURE = 8;
const PNG_HEADER = 25; // IHDR, always the first chunk: length, name, 13 bytes, checksum

/** The file with a comment: `Comment` in PNG, a COM segment in JPEG. */
export function addNote(file, note) {
  return file[0] === 0x89 ? insertChunk(file, note) : insertSegment(file, note);
}

function insertChunk(file, note) {
  const content = new TextEncoder().encode(`tEXtComment\0${note}`);
  const chunk = new Uint8Array(content.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, content.length - 4); // the name does not count
  chunk.set(content, 4);
  view.setUint32(content.length + 4, checksum(content));
  return insert(file, chunk, PNG_SIGNATURE + PNG_HEADER);
}

function insertSegment(file, note) {
  const content = new TextEncoder().encode(note);
  const segment = new Uint8Array(content.length + 4);
  segment.set([0xff, 0xfe, (content.length + 2) >> 8, (content.length + 2) & 255]);
  segment.set(content, 4);
  const hasJfif = file[3] === 0xe0; // which must stay the first segment
  return insert(file, segment, hasJfif ? 4 + file[4] * 256 + file[5] : 2);
}

function insert(file, part, position) {
  const result = new Uint8Array(file.length + part.length);
  result.set(file.subarray(0, position));
  result.set(part, position);
  result.set(file.subarray(position), position + part.length);
  return result;
}

/** CRC-32, as PNG wants it. */
function checksum(bytes) {
  let sum = -1;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
