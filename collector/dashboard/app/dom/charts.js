// The two drawings: a line of the last minutes, and a strip of the last hour. Both say in words what they show.

import { setAttribute, svg } from './h.js';

const WIDTH = 120;
const HEIGHT = 24;

/** A line of ratios, null where one is not known. */
export function sparkline() {
  const line = svg('path', { class: 'line', fill: 'none' });
  const element = svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' }, line);
  const update = (ratios, words) => {
    setAttribute(line, 'd', path(ratios));
    setAttribute(element, 'aria-label', words);
  };
  return { element, update };
}

/** Exported for its test: a new piece begins after each gap. */
export function path(ratios) {
  const step = WIDTH / Math.max(ratios.length - 1, 1);
  let draws = false;
  const pieces = ratios.map((ratio, at) => {
    if (ratio == null) {
      draws = false;
      return '';
    }
    const piece = `${draws ? 'L' : 'M'}${round(at * step)} ${round(HEIGHT - 1 - ratio * (HEIGHT - 2))}`;
    draws = true;
    return piece;
  });
  return pieces.join('');
}

const round = (number) => Math.round(number * 10) / 10;

/** What is stacked in a column of the strip, from its foot. */
const STACK = ['run', 'load', 'others', 'down'];

/** Columns of shares on a canvas; `slots` hold percent by name. */
export function drawStrip(canvas, slots, count) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
  if (width === 0) return;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const fills = fillsOf(canvas, context);
  const step = width / count;
  slots.forEach((slot, at) => {
    const left = Math.round((count - slots.length + at) * step);
    const right = Math.round((count - slots.length + at + 1) * step);
    let foot = height;
    for (const name of STACK) {
      const tall = (slot[name] / 100) * height;
      if (tall <= 0) continue;
      context.fillStyle = fills[name];
      context.fillRect(left, foot - tall, right - left, tall);
      foot -= tall;
    }
  });
}

/** Loads and down time are hatched, so that they are told apart without their colours. */
function fillsOf(canvas, context) {
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    run: colour('--run'),
    load: hatch(context, colour('--load'), colour('--ground')),
    others: colour('--others'),
    down: hatch(context, colour('--down'), colour('--ground')),
  };
}

function hatch(context, colour, ground) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 6;
  const draw = tile.getContext('2d');
  draw.fillStyle = ground;
  draw.fillRect(0, 0, 6, 6);
  draw.strokeStyle = colour;
  draw.lineWidth = 2.2;
  draw.beginPath();
  for (const offset of [-6, 0, 6]) {
    draw.moveTo(offset, 6);
    draw.lineTo(offset + 6, 0);
  }
  draw.stroke();
  return context.createPattern(tile, 'repeat');
}
