# One image for servers, workers and commands; what runs is the command. For a CPU: a GPU worker starts from an image
# with CUDA and TensorRT and installs .[postgres,tensorrt] in the same way. HEIC photos need the extra heif as well,
# which is left out here: HEVC is patented in many countries, and whoever runs this decides.
#
#   docker build -t likeness .
FROM python:3.12-slim

WORKDIR /srv/likeness
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY server server
COPY engines engines
COPY plugins plugins
COPY styles styles
RUN PIP_CONSTRAINT=/srv/likeness/requirements.lock PIP_BUILD_CONSTRAINT=/srv/likeness/requirements.lock \
    pip install --no-cache-dir ".[postgres]" \
    && useradd --create-home --uid 10001 likeness \
    && install --directory --owner=likeness --mode=0700 /var/lib/likeness

USER likeness
ENV LIKENESS_DATA=/var/lib/likeness
EXPOSE 8000
ENTRYPOINT ["likeness"]
CMD ["serve", "--no-worker"]
