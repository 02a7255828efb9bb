// The theme: the system's unless the user chose another, which is remembered.
import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";

const system = matchMedia("(prefers-color-scheme: dark)");
const key = "scpoli-theme";

/** Private windows of some browsers refuse to keep anything. */
function kept(): Theme | null {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null;
  }
}

const chosen = signal<Theme | null>(kept());
const systemTheme = signal<Theme>(system.matches ? "dark" : "light");
export const theme = signal<Theme>(chosen.value ?? systemTheme.value);

system.addEventListener("change", ({ matches }) => (systemTheme.value = matches ? "dark" : "light"));
effect(() => void (theme.value = chosen.value ?? systemTheme.value));
effect(() => void (document.documentElement.dataset["theme"] = theme.value));

export function chooseTheme(next: Theme): void {
  chosen.value = next;
  try {
    localStorage.setItem(key, next);
  } catch {
    // then it holds until the page is closed
  }
}
