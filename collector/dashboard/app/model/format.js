// Figures as people read them. Pure.

export const UNKNOWN = '–';

export function gib(bytes) {
  if (bytes == null) return UNKNOWN;
  const value = bytes / 2 ** 30;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

export function percent(ratio) {
  return ratio == null ? UNKNOWN : `${Math.round(ratio * 100)} %`;
}

/** A time span in its largest unit, or two where the second one matters. */
export function span(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return UNKNOWN;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 10) return whole % 60 === 0 ? `${minutes} min` : `${minutes} min ${whole % 60} s`;
  if (minutes < 60) return `${Math.round(whole / 60)} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

export function between(from, to) {
  return from == null || to == null ? UNKNOWN : span((to - from) / 1000);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** The time of day, with the day where it is another one. */
export function clock(millis, now = Date.now()) {
  if (millis == null) return UNKNOWN;
  const date = new Date(millis);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? CLOCK.format(date) : `${DAY.format(date)}, ${CLOCK.format(date)}`;
}

/** A job's id is long; its beginning is enough to tell jobs apart. */
export const shortId = (id) => id.slice(0, 8);

/** A model's file without its folders and ending. */
export function modelName(file) {
  return file.split(/[/\\]/).at(-1).replace(/\.(safetensors|ckpt|pt|pth|bin|gguf|sft)$/i, '');
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}

/** What a job makes, as far as its prompt tells: `1024 × 1024, 30 steps`. */
export function work({ width, height, frames, batch, steps } = {}) {
  const parts = [
    width && height && `${width} × ${height}`,
    frames > 1 && plural(frames, 'frame'),
    batch > 1 && `batch of ${batch}`,
    steps && plural(steps, 'step'),
  ];
  return parts.filter(Boolean).join(', ');
}
