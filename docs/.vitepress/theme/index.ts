// VitePress's own theme, with the wide picture of the front page.
import DefaultTheme from "vitepress/theme";
import "./style.css";

export default DefaultTheme;
