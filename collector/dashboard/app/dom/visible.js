// Which elements can be seen: what nobody sees loads no picture and draws nothing.

const watched = new WeakMap();

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) watched.get(entry.target)?.(entry.isIntersecting);
}, { rootMargin: '200px' });

/** Calls `changed(isVisible)` now and then; the function that is given back ends it. */
export function watchVisible(element, changed) {
  watched.set(element, changed);
  observer.observe(element);
  return () => observer.unobserve(element);
}
