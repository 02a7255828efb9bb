#!/usr/bin/env bash
# Makes the programs that bench:peers runs beside ours: three Python environments in .cache/peers/env (Python
# 3.11, some minutes and 5 GB), and Seurat and SingleR where apt-get and the right to use it are there (Debian
# 12). What cannot be had is named; bench:peers then leaves those rows out.
#
#   bash bench/peers/setup.sh [python] [scarches] [popv] [r]      default: all
set -u
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/../.."
folder=.cache/peers/env
mkdir -p "$folder"
common=("numpy<2.3" "pandas<3" "scanpy<1.12" "anndata<0.13")

# environment NAME CHECK PACKAGE...: a CPU build of PyTorch comes first, or gigabytes of CUDA come with others
environment() {
  local name=$1 check=$2
  shift 2
  local program="$folder/$name/bin/python"
  if [ -x "$program" ] && "$program" -W ignore -c "$check" >/dev/null 2>&1; then
    echo "$name: there"
    return
  fi
  python3.11 -m venv "$folder/$name" &&
    "$folder/$name/bin/pip" install -q torch==2.13.0 &&
    "$folder/$name/bin/pip" install -q "${common[@]}" "$@" &&
    PYTHONPATH=bench/peers "$program" -W ignore -c "$check" &&
    echo "$name: ready" || echo "$name: cannot be had (see above)"
}

r_packages() {
  local check='library(Seurat); library(SingleR); library(scran); library(hdf5r)'
  if command -v Rscript >/dev/null && Rscript -e "$check" >/dev/null 2>&1; then
    echo "r: there"
  elif command -v apt-get >/dev/null; then
    apt-get install -y -q --no-install-recommends \
      r-base-core r-cran-seurat r-cran-hdf5r r-bioc-singler r-bioc-scran >/dev/null &&
      Rscript -e "$check" >/dev/null 2>&1 &&
      echo "r: ready" || echo "r: cannot be had (see above)"
  else
    echo "r: cannot be had without apt-get; install Seurat, SingleR, scran and hdf5r (SCPOLI_PEERS_R)"
  fi
}

for name in "${@:-python scarches popv r}"; do
  for one in $name; do
    case $one in
      python)
        environment python "import celltypist, harmonypy, scanorama, scvi" \
          harmonypy==2.1.0 scanorama==1.7.4 celltypist==1.7.1 scvi-tools==1.4.2 "scikit-learn<1.8"
        ;;
      scarches)
        environment scarches "import scarches_compatibility, scarches.models.scpoli" \
          scarches==0.6.1 scvi-tools==1.4.2
        ;;
      popv) environment popv "import popv" popv==0.6.1 "pyarrow<20" ;;
      r) r_packages ;;
      *) echo "$one is none of python, scarches, popv, r" >&2 && exit 2 ;;
    esac
  done
done
