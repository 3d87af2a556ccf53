import { keyed } from '/app/dom/keyed.js';
import { equal, test } from './check.js';

function list() {
  const container = document.createElement('ul');
  const made = [];
  const removed = [];
  const sync = keyed(container, (item) => item.key, (item) => {
    const element = document.createElement('li');
    made.push(item.key);
    return { element, update: ({ text }) => { element.textContent = text; }, remove: () => removed.push(item.key) };
  });
  const show = (keys, text = '') => sync([...keys].map((key) => ({ key, text: key + text })));
  return { container, made, removed, show, shown: () => [...container.children].map((one) => one.textContent).join(' ') };
}

test('an item that is still there keeps its element wherever it moves', () => {
  const { container, made, removed, show, shown } = list();
  show('abc');
  const [a, b, c] = container.children;
  show('cad', '!');
  equal([shown(), made, removed], ['c! a! d!', ['a', 'b', 'c', 'd'], ['b']]);
  equal([container.children[0] === c, container.children[1] === a, b.isConnected], [true, true, false]);
  show('');
  equal([shown(), removed], ['', ['b', 'c', 'a', 'd']]);
});

test('what did not change is not moved', () => {
  const { container, show } = list();
  show('abcdef');
  const seen = [];
  const observer = new MutationObserver((changes) => seen.push(...changes));
  observer.observe(container, { childList: true });
  show('abcdef');
  show('abdef');
  equal(observer.takeRecords().length, 1);
});
