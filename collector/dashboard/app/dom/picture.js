// What jobs make, shown as what it is: pictures, films, sounds; anything else as a link.

import { h } from './h.js';
import { fileUrl } from '../api.js';

const FILM = /\.(mp4|webm|mov|mkv)$/i;
const SOUND = /\.(mp3|wav|flac|ogg|opus|m4a)$/i;
const PICTURE = /\.(png|jpe?g|webp|gif|avif|bmp)$/i;

/** A small picture of a file for a list; nothing where there is none to be had. */
export function thumbnail(file, alt) {
  if (!file || !PICTURE.test(file.filename ?? '')) return h('span.thumb.none', { 'aria-hidden': 'true' });
  const src = fileUrl(file, { preview: 'webp;80' });
  return h('img.thumb', { src, alt, loading: 'lazy', decoding: 'async' });
}

export function shown(file) {
  const [url, name] = [fileUrl(file), file.filename];
  const what = FILM.test(name)
    ? h('video', { src: url, controls: true, preload: 'metadata' })
    : SOUND.test(name)
      ? h('audio', { src: url, controls: true, preload: 'none' })
      : PICTURE.test(name) && h('a', { href: url }, h('img', { src: url, alt: name, loading: 'lazy' }));
  return h('figure.made', {}, what, h('figcaption', {}, h('a', { href: url, download: name }, name)));
}
