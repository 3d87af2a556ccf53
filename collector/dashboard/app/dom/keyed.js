// A list whose elements stay what they are: an item that is still there keeps its element, wherever it moves.

/**
 * `create(item)` gives a component `{ element, update(item), remove?() }`. The list's function takes the items in their
 * order and changes as little as that takes.
 */
export function keyed(container, keyOf, create) {
  let components = new Map();
  return (items) => {
    const kept = new Map(items.map((item) => [keyOf(item), components.get(keyOf(item)) ?? create(item)]));
    for (const [key, gone] of components) {
      if (kept.has(key)) continue;
      gone.remove?.();
      gone.element.remove();
    }
    let place = container.firstElementChild;
    for (const item of items) {
      const component = kept.get(keyOf(item));
      component.update(item);
      if (component.element === place) place = place.nextElementSibling;
      else container.insertBefore(component.element, place);
    }
    components = kept;
  };
}
