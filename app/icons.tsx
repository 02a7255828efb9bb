// Icons, in the colour of the text.

const paths = {
  undo: "M6 4 3 7l3 3M3 7h6.5a3.5 3.5 0 0 1 0 7H7",
  redo: "m10 4 3 3-3 3M13 7H6.5a3.5 3.5 0 0 0 0 7H9",
  sun:
    "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 " +
    "1.2M11.8 11.8 13 13M3 13l1.2-1.2M11.8 4.2 13 3",
  moon: "M13.5 9.6A5.9 5.9 0 0 1 6.4 2.5a5.9 5.9 0 1 0 7.1 7.1z",
  lock: "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  close: "m4 4 8 8M12 4l-8 8",
  info: "M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8M8 7.2v4M8 4.9v.3",
  warning: "M8 2 1.7 13.4h12.6zM8 6.3v3.4M8 11.5v.3",
  check: "m3 8.5 3.2 3.2L13 5",
  file: "M4 1.8h5l3 3v9.4H4zM9 1.8v3h3",
  folder: "M1.8 4h4l1.4 1.6h7v7.6H1.8z",
  move: "M8 2v12M2 8h12M6 4l2-2 2 2M6 12l2 2 2-2M4 6 2 8l2 2M12 6l2 2-2 2",
  lasso:
    "M8 2.5c3.6 0 6 1.6 6 4s-2.4 4-6 4c-1 0-1.9-.1-2.7-.4M3.4 9.2C2.5 8.5 2 7.6 2 6.5c0-2.4 2.4-4 6-4M3.3 " +
    "10.6a1.3 1.3 0 1 0 2.5.4 1.3 1.3 0 0 0-2.5-.4M5.5 12c.6 1.200 0 2-1.5 2.3",
  box: "M3 3h10v10H3zM3 3h.1M13 13h.1",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  download: "M8 2v7.5M4.800 6.7 8 9.900l3.200-3.200M2.5 13.5h11",
  play: "M5 3.5v9l7-4.5z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  stop: "M4 4h8v8H4z",
} as const;
export type IconName = keyof typeof paths;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg
      class="sign"
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.4"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={paths[name]} />
    </svg>
  );
}
