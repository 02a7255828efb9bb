// The verdict on the mapping: a traffic light in words, shapes and colours, with its reasons.
import { verdictWords } from "scpoli";
import type { MappingResult } from "../protocol.js";
import { verdict } from "../state.js";
import { pageWords } from "../words.js";

export function VerdictPanel({ result }: { readonly result: MappingResult }) {
  const { light, reasons } = verdict.value ?? result.verdict;
  const order = { red: 0, amber: 1, green: 2 } as const;
  return (
    <section class={`verdict ${light}`} aria-labelledby="verdict-title">
      <h3 id="verdict-title">
        <Light light={light} />
        {verdictWords[light].sentence}
      </h3>
      <ul>
        {[...reasons]
          .sort((a, b) => order[a.light] - order[b.light])
          .map((reason) => (
            <li key={pageWords(reason.text)}>
              <Light light={reason.light} />
              <span>
                <span class="unseen">{verdictWords[reason.light].word}: </span>
                {pageWords(reason.text)}
              </span>
            </li>
          ))}
      </ul>
    </section>
  );
}

/** The shape tells it as well as the colour: a disc, a triangle, a square. */
function Light({ light }: { readonly light: keyof typeof verdictWords }) {
  return (
    <svg
      class={`light ${light}`}
      viewBox="0 0 14 14"
      width="14"
      height="14"
      role="img"
      aria-label={verdictWords[light].word}
    >
      {light === "green" ? (
        <circle cx="7" cy="7" r="5.5" />
      ) : light === "amber" ? (
        <path d="M7 1.2 13.2 12.5H.8z" />
      ) : (
        <rect x="1.8" y="1.8" width="10.4" height="10.4" rx="1" />
      )}
    </svg>
  );
}
