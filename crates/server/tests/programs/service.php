<?php
// The paths that the table of services.rs requests, behind nginx.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: text/plain');
switch ($path) {
    case '/user':
        echo $_SERVER['HTTP_X_USER_ID'], ' ', $_SERVER['HTTP_X_USER_EMAIL'], ' ', $_SERVER['HTTP_X_USER_NAME'];
        break;
    case '/refuse':
        http_response_code(403);
        echo 'no';
        break;
    case '/none':
        http_response_code(204);
        break;
    case '/same':
        header('ETag: "a"');
        http_response_code($_SERVER['HTTP_IF_NONE_MATCH'] === '"a"' ? 304 : 200);
        break;
    case '/echo':
        readfile('php://input');
        break;
    case '/pieces':
        foreach (['one ', 'two ', 'three'] as $piece) {
            echo $piece;
            flush();
        }
        break;
    case '/visits':
        session_start();
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        echo $_SESSION['visits'];
        break;
    case '/port':
        echo $_SERVER['REMOTE_PORT'];
        break;
    case '/upload':
        $file = $_FILES['file'];
        echo $_POST['title'], ' ', $file['name'], ' ', $file['size'], ' ', md5_file($file['tmp_name']);
        break;
    default:
        http_response_code(404);
}
