// VitePress's own theme, with a picture across the front page.
import { h } from "vue";
import { withBase } from "vitepress";
import DefaultTheme from "vitepress/theme";
import "./style.css";

const caption =
  "Cells of three new patients, mapped onto a reference that has no B cells, and all sixteen samples by their " +
  "embeddings. The model did not know the treatment. This is the demo: it takes half a minute.";

/** Cells and samples: side by side where there is room, else one above the other. */
const story = () =>
  h("figure", { class: "story" }, [
    h("picture", [
      h("source", { media: "(max-width: 767px)", srcset: withBase("/story-narrow.svg") }),
      h("img", { src: withBase("/story.svg"), width: 1280, height: 504, alt: caption }),
    ]),
    h("figcaption", caption),
  ]);

export default {
  extends: DefaultTheme,
  Layout: () => h(DefaultTheme.Layout, null, { "home-hero-after": story }),
};
