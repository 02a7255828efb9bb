#!/bin/sh
# npm run check:image: the image of the Dockerfile, built without a hub: a minimal Debian from this machine's package
# sources (mmdebstrap), this machine's Node, and the package as `npm pack` makes it, committed by buildah. The command
# line is then run in it, and the size written to dist-image/size.json. Needs root; installs what is missing.
set -eu
cd "$(dirname "$0")/.."
out=$PWD/dist-image
root=$out/root

for program in buildah mmdebstrap; do
  command -v $program > /dev/null || apt-get install -y --no-install-recommends buildah mmdebstrap > /dev/null
done

rm -rf "$out"
mkdir -p "$out"
. /etc/os-release
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list > "$out/sources.list" 2> /dev/null || true
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] && cp "$file" "$out/"
done
set -- "$out"/*.sources
[ -e "$1" ] || set -- "$out/sources.list"
mmdebstrap --quiet --variant=minbase --include=ca-certificates,libstdc++6 \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  "$VERSION_CODENAME" "$root" "$@"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

# the steps of the Dockerfile: node, the packed package installed globally
install -D "$(command -v node)" "$root/usr/local/bin/node"
package=$(npm pack --ignore-scripts --silent --pack-destination "$out")
npm install --global --prefix "$root/usr/local" --prefer-offline --no-audit --no-fund --silent "$out/$package"
useradd --root "$root" --create-home --uid 1000 node 2> /dev/null || true
mkdir -p "$root/data"

container=$(buildah from scratch)
trap 'buildah rm "$container" > /dev/null' EXIT
buildah add --quiet "$container" "$root" /
buildah config --entrypoint '["scpoli"]' --cmd '["--help"]' --workingdir /data --user node \
  --env SCPOLI_CACHE=/data/.scpoli "$container"
run() { buildah run --isolation chroot --user node "$container" -- "$@"; }
version=$(run scpoli --version)
[ "$version" = "$(node -p 'require("./package.json").version')" ]
cells=$(run scpoli inspect /usr/local/lib/node_modules/scpoli/dist/app/data/kang_query.h5ad --json)
echo "$cells" | grep -q '"cells":720'
buildah commit --quiet "$container" scpoli:check > /dev/null
bytes=$(buildah images --json scpoli:check | node -e '
  const [image] = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const [, size, unit] = /^([\d.]+) ?(\w+)$/.exec(image.size);
  console.log(Math.round(size * { KB: 1e3, MB: 1e6, GB: 1e9 }[unit]));')
echo "{\"image\": \"scpoli:check\", \"version\": \"$version\", \"bytes\": $bytes}" > "$out/size.json"
rm -rf "$root"
cat "$out/size.json"
