// A deck.gl layer of round dots, drawn as WebGL points. The layers of deck.gl draw each dot as an instance of
// a square: where the processor draws (SwiftShader), every instance is a drawing of its own, and 100,000
// cells take seconds.
import { Layer, type DefaultProps, type LayerContext, type LayerProps } from "@deck.gl/core";
import { Model } from "@luma.gl/engine";

interface DotsLayerProps extends LayerProps {
  /** number of dots, and typed arrays of their positions (`getPosition`) and colours (`getColor`) */
  readonly data: {
    readonly length: number;
    readonly attributes: Readonly<Record<"getPosition" | "getColor", object>>;
  };
  /** in pixels of the page */
  readonly radius: number;
}

const uniforms = `\
layout(std140) uniform dotsUniforms {
  highp vec2 middle;
  highp vec2 scale;
  highp float size;
} dots;
`;
const dots = {
  name: "dots",
  vs: uniforms,
  fs: uniforms,
  uniformTypes: { middle: "vec2<f32>", scale: "vec2<f32>", size: "f32" },
} as const;

const vs = `\
#version 300 es
in vec2 positions;
in vec4 colors;
out vec4 color;
void main(void) {
  // what is transparent is outside of the picture
  gl_Position = vec4(colors.a > 0.0 ? (positions - dots.middle) * dots.scale : vec2(2.0), 0.0, 1.0);
  gl_PointSize = dots.size;
  color = colors;
}
`;
/** The edge is smooth: over one pixel. */
const fs = `\
#version 300 es
precision highp float;
in vec4 color;
out vec4 fragColor;
void main(void) {
  float fromMiddle = length(gl_PointCoord - 0.5) * dots.size;
  float coverage = clamp(dots.size / 2.0 - fromMiddle, 0.0, 1.0);
  if (coverage == 0.0) discard;
  fragColor = vec4(color.rgb, color.a * coverage);
}
`;

export class DotsLayer extends Layer<DotsLayerProps> {
  static override layerName = "DotsLayer";
  static override defaultProps: DefaultProps<DotsLayerProps> = {
    radius: { type: "number", value: 3 },
  };
  declare state: { model: Model };

  override initializeState({ device }: LayerContext): void {
    const attributes = this.getAttributeManager()!;
    attributes.add({
      positions: { size: 2, type: "float32", accessor: "getPosition" },
      colors: { size: 4, type: "unorm8", accessor: "getColor" },
    });
    this.setState({
      model: new Model(device, {
        ...super.getShaders({ vs, fs, modules: [dots] }),
        id: this.props.id,
        bufferLayout: attributes.getBufferLayouts(),
        topology: "point-list",
        isInstanced: false,
      }),
    });
  }

  override draw({ renderPass }: Parameters<Layer["draw"]>[0]): void {
    const { model } = this.state;
    const { width, height, zoom, center } = this.context.viewport as unknown as {
      readonly width: number;
      readonly height: number;
      readonly zoom: number;
      readonly center: readonly [number, number];
    };
    const scale = 2 ** zoom;
    model.shaderInputs.setProps({
      dots: {
        middle: center.slice(0, 2),
        scale: [(2 * scale) / width, (2 * scale) / height],
        // with room for the smooth edge
        size: 2 * this.props.radius * this.context.device.getDefaultCanvasContext().cssToDeviceRatio() + 1,
      },
    });
    model.setVertexCount(this.props.data.length);
    model.draw(renderPass);
  }
}
