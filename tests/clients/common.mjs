// What the programs in this folder have in common: where the server is, and what they report.

export const { MEM0_HOST: host, MEM0_API_KEY: apiKey, MEM0_PROJECT: projectId } = process.env;

// The clients swallow some failures and only mention them.
const complaints = [];
console.error = console.warn = (...words) => complaints.push(words.join(" "));

// Why a call was refused, as a program sees it.
export async function refusal(call) {
  try {
    await call;
  } catch ({ name, errorCode, message }) {
    return { name, errorCode, message };
  }
  return null;
}

// Ask until the answer is the one that is waited for.
export async function until(ask, isThere) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (isThere(answer) || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function report(said) {
  console.log(JSON.stringify({ ...said, complaints }));
}
