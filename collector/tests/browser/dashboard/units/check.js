// A test is a sentence and a function; all of them are run by `run`, which says which ones failed.

const tests = [];

export function test(sentence, act) {
  tests.push({ sentence, act });
}

/** Equal all the way down; Maps by their entries. */
export function equal(told, wanted) {
  const [a, b] = [plain(told), plain(wanted)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}

export function throws(act, words) {
  try {
    act();
  } catch (error) {
    if (!error.message.includes(words)) throw new Error(`${JSON.stringify(error.message)} does not say ${JSON.stringify(words)}`);
    return;
  }
  throw new Error(`it threw nothing; wanted: ${words}`);
}

export async function runAll() {
  const failed = [];
  for (const { sentence, act } of tests) {
    try {
      await act();
    } catch (error) {
      failed.push(`${sentence}: ${error.message}`);
    }
  }
  return { passed: tests.length - failed.length, failed };
}

const plain = (value) => JSON.stringify(value, (_, inner) => (inner instanceof Map ? [...inner] : inner === undefined ? null : inner));
