// The start of the page: what it does, and a mapped example.
import { earlier, openEarlier } from "../autosave.js";
import { openExample, openExampleReference } from "../example.js";
import { pictureSize } from "../example-files.js";
import { job, theme } from "../state.js";

export function Hero() {
  return (
    <section class="hero">
      <div class="what">
        <h2>Map your cells onto a reference atlas, without uploading anything</h2>
        <p>
          Open your cells (raw counts) and a reference model. Cells are placed in the reference and get a type
          and a confidence; those unlike any reference type are flagged.
        </p>
        <p class="row">
          <button class="primary" onClick={openExample} disabled={job.value !== null}>
            See an example, mapped
          </button>
          <button class="quiet link flush" onClick={openExampleReference} disabled={job.value !== null}>
            or train a reference on the five patients' labelled cells
          </button>
        </p>
        {earlier.value && (
          <p class="row">
            <button class="quiet link flush" onClick={openEarlier} disabled={job.value !== null}>
              Continue with {earlier.value.what} of {earlier.value.saved.toLocaleString()}
            </button>
          </p>
        )}
      </div>
      <figure class="outcome">
        <button
          class="quiet"
          onClick={openExample}
          disabled={job.value !== null}
          tabIndex={-1}
          aria-hidden="true"
        >
          <img
            src={`./data/example-${theme.value}.svg`}
            alt=""
            loading="lazy"
            decoding="async"
            {...pictureSize}
          />
        </button>
        <figcaption class="hint">
          The example: 720 blood cells of three lupus patients in colour, on a reference of five others (grey)
          without B cells. {theme.value === "dark" ? "White" : "Black"}: unlike every known type.
        </figcaption>
      </figure>
    </section>
  );
}
