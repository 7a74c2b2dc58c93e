"use strict";
// Read an image file as upright pixels, with one line of explanation for files that fail.

const MAX_SHOWN = 2560; // longest side of the picture that the page keeps to show
const MAX_PNG = 50e6; // pixels of a PNG whose colors below transparency are read

class ImageError extends Error {}

/* Read an image file.
   file: a Blob with a name.
   Returns {bitmap, rows}: the upright image, and its PixelRows. */
async function readImage(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (endsEarly(bytes)) throw new ImageError("the file is truncated: copy it again");
  const bitmap = await decode(file, bytes);
  let rows = rowsOf(bitmap);
  if (isPng(bytes) && hasAlpha(bytes) && bitmap.width * bitmap.height <= MAX_PNG) {
    const png = await decodePng(bytes);
    if (png && png.width === bitmap.width && png.height === bitmap.height) {
      const line = 4 * png.width;
      rows = new PixelRows(png.width, png.height,
        (top, count) => png.data.subarray(top * line, (top + count) * line));
    }
  }
  return { bitmap, rows };
}

async function decode(file, bytes) {
  // OpenCV applies the EXIF orientation and ignores color profiles.
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  try {
    return await createImageBitmap(file, options).catch((error) => {
      // Browsers before 2023 do not know the first option, but apply the orientation.
      if (error instanceof TypeError) return createImageBitmap(file);
      throw error;
    });
  } catch {
    const name = file.name ?? "";
    if (/\.tiff?$/i.test(name)) throw new ImageError("browsers cannot read TIFF: convert it to PNG");
    if (/\.hei[cf]$/i.test(name)) {
      throw new ImageError("this browser cannot read HEIC: convert it to JPEG");
    }
    throw new ImageError(bytes.length
      ? "it is not an image that this browser can read" : "the file is empty");
  }
}

let scratch = null; // a canvas that is used again for images of one size, such as video frames

// The pixels of an ImageBitmap.
function rowsOf(bitmap) {
  const rows = new PixelRows(bitmap.width, bitmap.height, (top, count) => {
    const context = scratch.getContext("2d", { willReadFrequently: true });
    context.globalCompositeOperation = "copy";
    context.drawImage(bitmap, 0, -top);
    return context.getImageData(0, 0, bitmap.width, count).data;
  });
  if (scratch?.width !== bitmap.width || scratch.height !== rows.strip) {
    scratch = new OffscreenCanvas(bitmap.width, rows.strip);
  }
  return rows;
}

// The picture to show: of a very large image, a smaller copy.
async function shownBitmap(bitmap) {
  const scale = MAX_SHOWN / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const smaller = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: "medium",
  });
  bitmap.close();
  return smaller;
}

const startsWith = (bytes, ...start) => start.every((value, i) => bytes[i] === value);
const isPng = (bytes) => startsWith(bytes, 0x89, 0x50, 0x4e, 0x47) && bytes.length > 33;

// Whether a JPEG or PNG lacks its end; browsers would fill the missing part with gray.
function endsEarly(bytes) {
  if (isPng(bytes)) return !includes(bytes, Math.max(0, bytes.length - 4096), "IEND");
  if (!startsWith(bytes, 0xff, 0xd8)) return false;
  // Thumbnails in the header have end markers, too: only those after the start of the scan count.
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff || bytes[at + 1] === 0) at += 1;
    else if (bytes[at + 1] === 0xda) return !includes(bytes, at + 2, "\xff\xd9");
    else at += 2 + (bytes[at + 2] << 8) + bytes[at + 3];
  }
  return true;
}

function includes(bytes, from, text) {
  const codes = [...text].map((letter) => letter.charCodeAt(0));
  for (let at = bytes.indexOf(codes[0], from); at >= 0; at = bytes.indexOf(codes[0], at + 1)) {
    if (codes.every((code, i) => bytes[at + i] === code)) return true;
  }
  return false;
}
