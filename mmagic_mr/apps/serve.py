"""The explorer's server."""

from mmagic_mr.apps.explorer import Explorer
from mmagic_mr.apps.outside import LOCAL, OwnAddressesOnly
from mmagic_mr.apps.page import build
from mmagic_mr.errors import UserError


def serve(explorer: Explorer, folder: str, host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Args:
        explorer: Its models.
        folder: For files of the page; whoever made it removes it.
        host: Address to listen at.
        port: The same.

    Raises:
        UserError: the port is taken.
    """
    hosts = LOCAL if host in LOCAL else ('*',)
    page = build(explorer, folder).queue(api_open=False, max_size=32)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            show_api=False,
            ssr_mode=False,
            enable_monitoring=False,
            quiet=True,
            allowed_paths=[folder],
            prevent_thread_lock=True,
            # Starlette takes (class, arguments, arguments by name)
            app_kwargs=dict(middleware=[(OwnAddressesOnly, (), dict(hosts=hosts))]),
        )
    except OSError as error:
        raise UserError(
            f'port {port} of {host} is not to be had ({error}): take another one with '
            '--port'
        ) from error
    print(f'Explorer: {page.local_url} (Ctrl-C ends it)', flush=True)
    page.block_thread()
